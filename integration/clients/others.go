package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Others are clients beside the newest official ones, each with the command that runs it; ../others has the runners, which
// make clients installs.
var Others = map[string]func(*testing.T) func(context.Context) *exec.Cmd{
	"@aspnet/signalr 1":    olderJavaScript("aspnet-signalr-1"),
	"@microsoft/signalr 3": olderJavaScript("microsoft-signalr-3"),
	"@microsoft/signalr 5": olderJavaScript("microsoft-signalr-5"),
	"Java 3":               javaClient("3"),
	"Java 9":               javaClient("9"),
	"pysignalr":            pythonClient("run_pysignalr.py"),
	"signalrcore":          pythonClient("run_signalrcore.py"),
}

func olderJavaScript(module string) func(*testing.T) func(context.Context) *exec.Cmd {
	return func(t *testing.T) func(context.Context) *exec.Cmd {
		t.Helper()
		return otherCommand(t, "javascript", "node_modules", "node", "run.js", module)
	}
}

func pythonClient(script string) func(*testing.T) func(context.Context) *exec.Cmd {
	return func(t *testing.T) func(context.Context) *exec.Cmd {
		t.Helper()
		return otherCommand(t, "python", "venv/bin/python", filepath.Join("venv", "bin", "python"), script)
	}
}

// javaClient compiles the runner for a major version of the client.
func javaClient(major string) func(*testing.T) func(context.Context) *exec.Cmd {
	return func(t *testing.T) func(context.Context) *exec.Cmd {
		t.Helper()
		if _, err := exec.LookPath("javac"); err != nil {
			Missing(t, "Java is not installed")
		}
		jars, classes := filepath.Join("jars", major, "*"), t.TempDir()
		run := otherCommand(t, "java", filepath.Join("jars", major), "java", "-cp", classes+":"+jars, "Run")
		compile := exec.CommandContext(t.Context(), "javac", "-cp", jars, "-d", classes, "Run.java")
		compile.Dir = filepath.Join(folder(), "..", "others", "java")
		if out, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return run
	}
}

// otherCommand returns a command in a folder of others. make clients installs needed there.
func otherCommand(t *testing.T, folderName, needed, name string, args ...string) func(context.Context) *exec.Cmd {
	t.Helper()
	dir := filepath.Join(folder(), "..", "others", folderName)
	if _, err := os.Stat(filepath.Join(dir, needed)); err != nil {
		Missing(t, "the clients of "+dir+" are not installed: make clients")
	}
	if filepath.Base(name) != name {
		name = "./" + name // in the folder
	} else if _, err := exec.LookPath(name); err != nil {
		Missing(t, name+" is not installed")
	}
	return func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		cmd.WaitDelay = 10 * time.Second
		return cmd
	}
}
