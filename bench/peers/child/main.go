// Command child plays the parts of this project's contenders in the save benchmark. It is built by itself so that its memory is that of a
// program with this library, not that of one with everybody's.
package main

import (
	"fmt"
	"os"

	"github.com/tidemark-go/tidemark/bench"
)

func main() {
	bench.Child(bench.Savers())
	fmt.Fprintln(os.Stderr, "child: started by `go run . --bench save` in bench/peers only")
	os.Exit(2)
}
