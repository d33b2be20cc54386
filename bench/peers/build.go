package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// source is the folder of this module: peers are built from it, wherever the program runs.
func source() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if dir := filepath.Dir(file); ok && dir != "." {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the source of bench/peers is not here: run it with `go run .` there")
}

// build makes the program of a folder of this module.
func build(ctx context.Context, folder, output string) error {
	dir, err := source()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", output, ".")
	cmd.Dir = filepath.Join(dir, folder)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", folder, err, strings.TrimSpace(string(said)))
	}
	return nil
}
