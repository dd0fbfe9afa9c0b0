package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
)

// grace is how long a child has between SIGTERM and SIGKILL.
const grace = 5 * time.Second

// A lifeline ends when the engine does: by signal, by closing stdin, or by no longer answering.
type lifeline struct{ ctx context.Context }

func newLifeline(engine string) lifeline {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The engine holds the writing end of stdin and never writes. The kernel closes it when the engine dies, even by
	// SIGKILL: no waiting, no polling. A host started by hand has no such pipe, only the health check.
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // any end will do
			cancel()
		}()
	}
	if err := rpcutil.Healthcheck(ctx, engine, 10*time.Second, cancel); err != nil {
		cancel()
	}
	return lifeline{ctx}
}

// run runs a command to its end. The command's context ends it: SIGTERM first, so that a plugin can end what it has
// started, SIGKILL when grace is over. Should this process die, the kernel sends the SIGTERM.
func (lifeline) run(cmd *exec.Cmd) error {
	// Pdeathsig is sent when the thread that forked ends, so this goroutine keeps its thread to the end.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A group of its own: an interrupt meant for this host must not reach a provider in the middle of its work.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) { // it ended, and left its output open to something that did not
		return nil
	}
	return err
}

// both returns a context that ends with either.
func both(one, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(one)
	stop := context.AfterFunc(other, cancel)
	return ctx, func() { stop(); cancel() }
}
