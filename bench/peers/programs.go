package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tidemark-go/tidemark/bench"
)

// rclone is built from its Go module. The real program has 70 storages more and starts later.
func rclone() bench.Saver {
	program := func(p bench.Place) string { return filepath.Join(p.Tools, "rclone") }
	return bench.Saver{
		Name: bench.PeerRclone,
		About: "sync with its gcs backend, --transfers 8 --checkers 16 --fast-list; " +
			"built from its module with the backends local and gcs alone",
		Find: func(ctx context.Context, tools string) (string, error) {
			output := filepath.Join(tools, "rclone")
			if err := build(ctx, "rclone", output); err != nil {
				return "", err
			}
			return firstLine(ctx, output, "version")
		},
		Command: func(p bench.Place, verb, dir string) bench.Command {
			remote := ":gcs:" + p.Bucket + "/state"
			args := []string{program(p), "sync"}
			switch verb {
			case bench.VerbSave:
				args = append(args, dir, remote)
			case bench.VerbRestore:
				args = append(args, remote, dir)
			default:
				return bench.Command{}
			}
			// A bucket cannot be created or asked for here, nor does it need to be.
			args = append(args, "--transfers", "8", "--checkers", "16", "--fast-list", "--gcs-no-check-bucket", "--gcs-bucket-policy-only", "--gcs-env-auth",
				"--gcs-endpoint", p.Storage+"/storage/v1/", "--config", os.DevNull, "--cache-dir", p.Scratch, "--stats", "0", "--retries", "1")
			return bench.Command{Args: args}
		},
	}
}

// restic is whichever is installed. Its gs backend knows no address but Google's, so it goes through its rest backend, which is the leanest that it has:
// no token, one plain request for a file.
func restic() bench.Saver {
	return bench.Saver{
		Name: bench.PeerRestic,
		About: "backup and restore with its rest backend, which the store's own process answers (its gs backend knows no address but Google's), " +
			"-o rest.connections=8, repository format 2, its cache on; each backup has the one before as parent",
		Find: func(ctx context.Context, _ string) (string, error) {
			program, err := exec.LookPath("restic")
			if err != nil {
				return "", fmt.Errorf("restic is not installed (apt-get install restic): %w", err)
			}
			return firstLine(ctx, program, "version")
		},
		Command: func(p bench.Place, verb, dir string) bench.Command {
			// 0.14 writes the older format, which does not compress, unless it is told.
			args := map[string][]string{
				bench.VerbPrepare: {"init", "--repository-version", "2"},
				bench.VerbSave:    {"backup", "--quiet", "."}, // so that it can be restored without the names above dir
				bench.VerbRestore: {"restore", "latest", "--quiet", "--target", dir},
			}[verb]
			program, err := exec.LookPath("restic")
			if err != nil {
				program = "restic" // Find has said so
			}
			return bench.Command{
				Dir:  dir,
				Args: append([]string{program, "-o", "rest.connections=8"}, args...),
				Env:  []string{"RESTIC_PASSWORD=benchmark", "RESTIC_REPOSITORY=rest:" + p.Storage + bench.RESTPath},
			}
		},
	}
}

func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	said, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(args, " "), err)
	}
	line, _, _ := strings.Cut(string(said), "\n")
	return strings.TrimSpace(line), nil
}
