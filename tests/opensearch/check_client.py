"""Uses OpenSearch's own client (opensearch-py, PyPI) on a server that holds nothing of it yet.

    check_client.py http://127.0.0.1:9200

Exit code 1, with what is not as it should be, unless all is.
"""

import sys

from opensearchpy import ConflictError, NotFoundError, OpenSearch, helpers

INDEX = "client-2024.01.01"
POLICY = {
    "policy": {
        "description": "keeps lines for a week",
        "default_state": "kept",
        "states": [
            {"name": "kept", "actions": [], "transitions": [{"state_name": "gone", "conditions": {"min_index_age": "7d"}}]},
            {"name": "gone", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": ["client-*"], "priority": 1}],
    }
}


def actions(count, poison=None):
    for number in range(count):
        source = {"@timestamp": "2024-01-01T00:00:00Z", "message": f"line {number}", "n": number if number != poison else "many"}
        yield {"_op_type": "create", "_index": INDEX, "_id": f"id-{number}", "_source": source}


def check(what, found, wanted):
    print(f"{'ok' if found == wanted else 'WRONG':5} {what}: {found!r}")
    return found != wanted


def main(url):
    client = OpenSearch(url, http_compress=True)
    wrong = check("distribution", client.info()["version"]["distribution"], "opensearch")

    wrong += check("no template", client.indices.exists_index_template(name="client"), False)
    fields = {"@timestamp": {"type": "date"}, "message": {"type": "text"}, "n": {"type": "long"}}
    template = {"index_patterns": ["client-*"], "template": {"settings": {"number_of_replicas": 0}, "mappings": {"properties": fields}}}
    client.indices.put_index_template(name="client", body=template)
    wrong += check("a template", client.indices.exists_index_template(name="client"), True)

    done, errors = helpers.bulk(client, actions(1000, poison=7), raise_on_error=False, chunk_size=300)
    wrong += check("created", done, 999)
    wrong += check("refused", [(error["create"]["_id"], error["create"]["status"], error["create"]["error"]["type"]) for error in errors],
                   [("id-7", 400, "mapper_parsing_exception")])
    done, errors = helpers.bulk(client, actions(1000), raise_on_error=False)
    wrong += check("created the second time", done, 1)
    wrong += check("there already", {error["create"]["status"] for error in errors}, {409})

    client.indices.refresh(index=INDEX)
    wrong += check("count", client.count(index=INDEX)["count"], 1000)
    question = {"query": {"bool": {"filter": [{"range": {"n": {"gte": 990}}}, {"match": {"message": "line"}}]}}, "sort": [{"n": "desc"}], "size": 3}
    found = client.search(index="client-*", body=question)
    wrong += check("found", found["hits"]["total"]["value"], 10)
    wrong += check("first", [hit["_source"]["message"] for hit in found["hits"]["hits"]], ["line 999", "line 998", "line 997"])
    return wrong + (policies(client) if "--policies" in sys.argv else 0)


def policies(client):
    management = client.plugins.index_management
    try:
        management.get_policy("client")
        wrong = check("no policy", "there", "not there")
    except NotFoundError as error:
        wrong = check("no policy", error.status_code, 404)
    made = management.put_policy("client", body=POLICY)
    wrong += check("a policy", made["_version"], 1)
    try:
        management.put_policy("client", body=POLICY)
        wrong += check("over it", "taken", "refused")
    except ConflictError as error:
        wrong += check("over it", error.error, "version_conflict_engine_exception")
    there = management.get_policy("client")
    changed = management.put_policy("client", body=POLICY, params={"if_seq_no": there["_seq_no"], "if_primary_term": there["_primary_term"]})
    return wrong + check("changed", changed["_version"], 2)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(1 if main(sys.argv[1]) else 0)
