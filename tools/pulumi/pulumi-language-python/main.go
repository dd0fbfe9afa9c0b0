// pulumi-language-python runs Pulumi programs, policy packs and providers written in Python.
//
// It stands in for Pulumi's own host of that name where none is installed: that one cannot be built from the
// Go module proxy. It does what this project needs: programs and plugins run from a virtual environment that is
// made beforehand. It installs nothing and generates no code.
//
// Nothing outlives the engine: see lifeline.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// exitedAfterMessage is how pulumi-language-python-exec says that the user has been told what is wrong.
const exitedAfterMessage = 32

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: pulumi-language-python ENGINE_ADDRESS (the Pulumi CLI runs this, nobody else)")
		os.Exit(2)
	}
	engine := os.Args[len(os.Args)-1] // the engine puts its address last, after flags this host has no use for
	life := newLifeline(engine)
	stop := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel:  stop,
		Options: rpcutil.TracingServerInterceptorOptions(nil),
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, newHost(engine, life))
			return nil
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-language-python:", err)
		os.Exit(1)
	}
	fmt.Println(handle.Port) // the engine reads the first line as the port
	select {
	case err = <-handle.Done:
	case <-life.ctx.Done():
		time.AfterFunc(grace+time.Second, func() { os.Exit(1) }) // an engine that is gone closes no stream
		close(stop)
		err = <-handle.Done
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-language-python:", err)
		os.Exit(1)
	}
}

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	engine   string
	life     lifeline
	programs context.Context // ends with the lifeline, or when the engine cancels
	cancel   context.CancelFunc
}

func newHost(engine string, life lifeline) *host {
	programs, cancel := context.WithCancel(life.ctx)
	return &host{engine: engine, life: life, programs: programs, cancel: cancel}
}

func (h *host) Handshake(
	context.Context, *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

// Cancel ends the programs that run. Plugins get their own Cancel from the engine and end in their own time,
// so that a provider can still record what it has done.
func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.cancel()
	return &emptypb.Empty{}, nil
}

// GetRequiredPackages names the provider plugins that the provider packages in the virtual environment ask for.
func (h *host) GetRequiredPackages(
	_ context.Context, req *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	packages, err := requiredPackages(virtualenv(req.Info))
	return &pulumirpc.GetRequiredPackagesResponse{Packages: packages}, err
}

// InstallDependencies installs nothing: it says how, when the virtual environment is not there.
func (h *host) InstallDependencies(
	req *pulumirpc.InstallDependenciesRequest, _ pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	if _, err := python(req.Info); err != nil {
		return err
	}
	return nil
}

func (h *host) About(ctx context.Context, req *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	tools, err := python(req.Info)
	if err != nil {
		return nil, err
	}
	about, err := tools.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{Executable: about.PythonExecutable, Version: about.PythonVersion.String()}, nil
}

// Run runs a program to its end through pulumi-language-python-exec, which lies beside this executable.
func (h *host) Run(ctx context.Context, req *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	tools, err := python(req.Info)
	if err != nil {
		return nil, err
	}
	args := []string{
		"-u", filepath.Join(filepath.Dir(self), "pulumi-language-python-exec"),
		"--monitor", req.MonitorAddress,
		"--engine", h.engine,
		"--project", req.Project,
		"--root_directory", req.Info.RootDirectory,
		"--stack", req.Stack,
		"--pwd", req.Pwd,
		"--dry_run", strconv.FormatBool(req.DryRun),
		"--parallel", strconv.Itoa(int(req.Parallel)),
		"--organization", req.Organization,
		req.Info.EntryPoint,
	}
	config, secretKeys := req.Config, req.ConfigSecretKeys
	if config == nil {
		config = map[string]string{} // the SDK refuses null
	}
	if secretKeys == nil {
		secretKeys = []string{}
	}
	configJSON, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	secretKeysJSON, err := json.Marshal(secretKeys)
	if err != nil {
		return nil, err
	}
	ctx, cancel := both(ctx, h.programs)
	defer cancel()
	cmd, err := tools.Command(ctx, append(args, req.Args...)...)
	if err != nil {
		return nil, err
	}
	cmd.Dir = req.Info.ProgramDirectory
	cmd.Env = append(cmd.Env, "PULUMI_CONFIG="+string(configJSON), "PULUMI_CONFIG_SECRET_KEYS="+string(secretKeysJSON))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr // the engine shows both as the program's output
	var exit *exec.ExitError
	err = h.life.run(cmd)
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitedAfterMessage:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &exit):
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("the program ended with %s", exit.ProcessState)}, nil
	default:
		return nil, fmt.Errorf("the program could not run: %w", err)
	}
}

// RunPlugin runs a provider or a policy pack until the engine closes the stream or dies.
func (h *host) RunPlugin(req *pulumirpc.RunPluginRequest, stream pulumirpc.LanguageRuntime_RunPluginServer) error {
	tools, err := python(req.Info)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(stream, false)
	if err != nil {
		return err
	}
	defer closer.Close()
	args := []string{"-u", req.Info.ProgramDirectory}
	if req.Kind == "analyzer" {
		args = []string{"-u", "-m", "pulumi.policy"}
	}
	args = append(args, req.Args...)
	if req.Kind == "analyzer" {
		args = append(args, req.Info.ProgramDirectory)
	}
	ctx, cancel := both(stream.Context(), h.life.ctx)
	defer cancel()
	cmd, err := tools.Command(ctx, args...)
	if err != nil {
		return err
	}
	cmd.Dir = req.Pwd
	cmd.Env = toolchain.ActivateVirtualEnv(req.Env, virtualenv(req.Info))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	var exit *exec.ExitError
	if err = h.life.run(cmd); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("the plugin could not run: %w", err)
	}
	return stream.Send(&pulumirpc.RunPluginResponse{
		Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(cmd.ProcessState.ExitCode())},
	})
}
