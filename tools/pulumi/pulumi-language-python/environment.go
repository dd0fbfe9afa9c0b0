package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// virtualenv is the absolute path of the `virtualenv` option of Pulumi.yaml, PulumiPlugin.yaml or PulumiPolicy.yaml,
// which is relative to that file. Empty when there is none.
func virtualenv(info *pulumirpc.ProgramInfo) string {
	path := info.GetOptions().GetFields()["virtualenv"].GetStringValue()
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(info.GetRootDirectory(), path)
}

// python is the virtual environment's Python, or an error that says what to do.
func python(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	venv := virtualenv(info)
	if venv == "" {
		return nil, fmt.Errorf("%s: set runtime.options.virtualenv: this host runs Python from a virtual environment only",
			info.GetRootDirectory())
	}
	if _, err := os.Stat(filepath.Join(venv, "bin", "python")); err != nil {
		return nil, fmt.Errorf("there is no virtual environment at %s: run tools/setup", venv)
	}
	return toolchain.ResolveToolchain(toolchain.PythonOptions{
		Root: info.GetRootDirectory(), ProgramDir: info.GetProgramDirectory(), Virtualenv: venv, Toolchain: toolchain.Pip,
	})
}

// pluginFile is pulumi-plugin.json, which every provider's Python package carries.
type pluginFile struct {
	Resource         bool   `json:"resource"`
	Name             string `json:"name"`
	Version          string `json:"version"`
	Server           string `json:"server"`
	Parameterization *struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Value   []byte `json:"value"`
	} `json:"parameterization"`
}

// requiredPackages reads the pulumi-plugin.json of every package in a virtual environment, without starting Python.
// A package installed as editable is not seen.
func requiredPackages(venv string) ([]*pulumirpc.PackageDependency, error) {
	files, err := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages", "*", "pulumi-plugin.json"))
	if err != nil {
		return nil, err
	}
	var packages []*pulumirpc.PackageDependency
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var file pluginFile
		if err := json.Unmarshal(text, &file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if !file.Resource {
			continue
		}
		if file.Name == "" {
			file.Name = strings.TrimPrefix(strings.ReplaceAll(filepath.Base(filepath.Dir(path)), "_", "-"), "pulumi-")
		}
		dependency := &pulumirpc.PackageDependency{
			Kind: "resource", Name: file.Name, Version: file.Version, Server: file.Server,
		}
		if p := file.Parameterization; p != nil {
			dependency.Parameterization = &pulumirpc.PackageParameterization{
				Name: p.Name, Version: p.Version, Value: p.Value,
			}
		}
		packages = append(packages, dependency)
	}
	return packages, nil
}
