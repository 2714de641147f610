{{- define "skopos.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "skopos.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "skopos.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "skopos.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "skopos.node" -}}{{ include "skopos.fullname" . }}-node{{- end -}}
{{- define "skopos.pair" -}}{{ include "skopos.fullname" . }}-cluster{{- end -}}

{{/* What never changes in the life of a release: selectors hold no more. */}}
{{- define "skopos.selector" -}}
app.kubernetes.io/name: {{ include "skopos.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "skopos.labels" -}}
{{ include "skopos.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "skopos.annotations" -}}
{{- with .Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "skopos.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- $name := .Values.image.repository -}}
{{- if $registry }}{{ $name = printf "%s/%s" $registry $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag | toString) -}}
{{- end -}}
{{- end -}}

{{/* Everything that a container of ours may not do. */}}
{{- define "skopos.secured" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The token by which pods of ours know each other: for nobody else, renewed by the kubelet each hour. */}}
{{- define "skopos.token" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken: {audience: skopos, expirationSeconds: 3600, path: token}
{{- end -}}

{{/* What agents are shown is good for agents alone: who has taken over a node cannot speak for the pair. */}}
{{- define "skopos.pair.token" -}}
{{- include "skopos.token" . }}
      - serviceAccountToken: {audience: skopos-node, expirationSeconds: 3600, path: node-token}
{{- end -}}

{{- define "skopos.env" -}}
- {name: AWS_EC2_METADATA_DISABLED, value: "true"}
{{- with .Values.aws.region }}
- {name: AWS_REGION, value: {{ . | quote }}}
{{- end }}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}

{{- define "skopos.probes" -}}
startupProbe:
  httpGet: {path: /-/healthy, port: http}
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /-/healthy, port: http}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /-/ready, port: http}
  periodSeconds: 5
{{- end -}}

{{- define "skopos.accounts" -}}
accounts: {node: {{ include "skopos.node" . }}, replica: {{ include "skopos.pair" . }}}
{{- end -}}

{{- define "skopos.node.config" -}}
# To others than the node itself: probes, metrics, and the last lines of a pod to the pair, by its token.
web: {listen: "0.0.0.0:{{ .Values.service.port }}", trust_loopback: true}
kubernetes:
  {{- include "skopos.accounts" . | nindent 2 }}
node: {procfs: /host/proc, sysfs: /host/sys}
logs:
  files: []
  containers: {{ .Values.node.logHostPath }}/pods
  docker: ""
  local: {{ .Values.logs.local }}
  {{- with .Values.logs.opensearch }}
  opensearch:
    {{- toYaml . | nindent 4 }}
  {{- end }}
remote_write:
{{- range $nth, $_ := until (int .Values.pair.replicas) }}
  - url: http://{{ include "skopos.pair" $ }}-{{ $nth }}.{{ include "skopos.pair" $ }}.{{ $.Release.Namespace }}.svc:{{ $.Values.service.port }}/api/v1/write
    authorization: {credentials_file: /var/run/secrets/skopos/token}
{{- end }}
{{- end -}}

{{- define "skopos.pair.config" -}}
web: {listen: "0.0.0.0:{{ .Values.service.port }}", trust_loopback: true}
# It reads no files: these are events, and what has changed.
logs:
  files: []
  local: {{ .Values.logs.local }}
  {{- with .Values.logs.opensearch }}
  opensearch:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .Values.cluster.name }}
global: {external_labels: {cluster: {{ . | quote }}}}
{{- end }}
kubernetes:
  {{- include "skopos.accounts" . | nindent 2 }}
  agents: {service: {{ include "skopos.node" . }}, token_file: /var/run/secrets/skopos/node-token}
  {{- if gt (int .Values.pair.replicas) 1 }}
  replicas: {service: {{ include "skopos.pair" . }}}
  {{- end }}
  lease_name: {{ include "skopos.fullname" . }}
{{- if gt (int .Values.pair.replicas) 1 }}
pair:
  peer: http://{other}.{{ include "skopos.pair" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
  token_file: /var/run/secrets/skopos/token
{{- end }}
{{- with .Values.aws.cloudwatch }}
{{- if .enabled }}
cloudwatch: {enabled: true, max_usd_per_month: {{ .maxUsdPerMonth }}}
{{- end }}
{{- end }}
{{- if .Values.rules }}
rule_files: ["/etc/skopos/rules/*.yaml"]
{{- end }}
{{- if or .Values.notifiers.slack.existingSecret .Values.notifiers.pagerduty.existingSecret }}
notifier:
  {{- if .Values.notifiers.slack.existingSecret }}
  slack: {webhook_file: /etc/skopos/slack/{{ .Values.notifiers.slack.key }}}
  {{- end }}
  {{- if .Values.notifiers.pagerduty.existingSecret }}
  pagerduty: {routing_key_file: /etc/skopos/pagerduty/{{ .Values.notifiers.pagerduty.key }}}
  {{- end }}
{{- end }}
{{- end -}}
