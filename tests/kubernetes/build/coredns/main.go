// A CoreDNS of the two plugins that a cluster's own names need: all of its plugins together are made of several clouds' clients.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	coremain.Run()
}
