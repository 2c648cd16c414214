package deploy

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/gateway"
)

// settings are the flags of the program with their defaults.
func settings() map[string]string {
	all := map[string]string{"--config": ""}
	for field := range reflect.TypeFor[gateway.Config]().Fields() {
		name := field.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		all["--"+name] = field.Tag.Get("default")
	}
	return all
}

// stopTime is the longest time from SIGTERM to the end of the program.
func stopTime(t *testing.T) (all time.Duration) {
	t.Helper()
	for _, flag := range []string{"--drain", "--shutdown-timeout"} {
		d, err := time.ParseDuration(settings()[flag])
		if err != nil {
			t.Fatal(err)
		}
		all += d
	}
	return all
}

// The examples and their page name only settings that the program has.
func TestSettingsExist(t *testing.T) {
	t.Parallel()
	known := settings()
	flagsOfOthers := []string{"--from", "--from-file", "--rm", "--now", "--idle"} // the last one of the doctor
	name := regexp.MustCompile(`CARILLON_[A-Z_]+|--[a-z][a-z-]+`)
	seen := 0
	for _, pattern := range []string{"*/*", "../docs/scale-out.md", "../docs/deployment.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range name.FindAllString(string(text), -1) {
				flag := "--" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(found, "CARILLON_"), "_", "-"))
				if strings.HasPrefix(found, "--") {
					flag = found
				}
				if _, ok := known[flag]; !ok && !slices.Contains(flagsOfOthers, found) {
					t.Errorf("%s: the program has no setting %s", file, found)
				}
				seen++
			}
		}
	}
	if seen < 30 {
		t.Errorf("found only %d settings", seen)
	}
}

// load parses the documents of a YAML file.
func load[T any](t *testing.T, file string) (documents []T) {
	t.Helper()
	python := filepath.Join(filepath.Dir(find(t, "kubernetes-validate")), "python3") // has a parser
	const script = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)"
	out, err := exec.CommandContext(t.Context(), python, "-c", script, file).Output()
	if err == nil {
		err = json.Unmarshal(out, &documents)
	}
	if err != nil {
		t.Fatal(file, err)
	}
	return documents
}

// composed is a file of docker compose.
type composed struct {
	Services map[string]struct {
		Environment     map[string]string
		Secrets         []string
		StopGracePeriod string `json:"stop_grace_period"`
		Volumes         []string
	}
	Secrets map[string]struct{ File string }
}

// The nodes of docker compose find each other and their secret, HAProxy finds them, and they have
// time to end.
func TestNodesOfCompose(t *testing.T) {
	t.Parallel()
	file := load[composed](t, "docker/cluster.yaml")[0]
	balancer := file.Services["haproxy"]
	config, err := os.ReadFile(filepath.Join("docker", strings.Split(balancer.Volumes[0], ":")[0]))
	if err != nil {
		t.Fatal(err)
	}
	var nodes, peers []string
	for name, service := range file.Services {
		e := service.Environment
		if name == "haproxy" {
			continue
		}
		_, port, _ := net.SplitHostPort(e["CARILLON_CLUSTER_ADDR"])
		nodes, peers = append(nodes, net.JoinHostPort(name, port)), strings.Split(e["CARILLON_CLUSTER_PEERS"], ",")
		if e["CARILLON_CLUSTER_ADVERTISE"] != nodes[len(nodes)-1] {
			t.Errorf("%s advertises %s", name, e["CARILLON_CLUSTER_ADVERTISE"])
		}
		secret, _ := strings.CutPrefix(e["CARILLON_CLUSTER_SECRET_FILE"], "/run/secrets/")
		if !slices.Contains(service.Secrets, secret) || file.Secrets[secret].File == "" {
			t.Errorf("%s has no secret %q", name, secret)
		}
		if grace, err := time.ParseDuration(service.StopGracePeriod); err != nil || grace <= stopTime(t) {
			t.Errorf("%s has %s to end; %v", name, service.StopGracePeriod, err)
		}
		if variable := strings.ToUpper(name); balancer.Environment[variable] != name+":8080" || !strings.Contains(string(config), `"${`+variable+`-`) {
			t.Errorf("HAProxy does not find %s", name)
		}
	}
	slices.Sort(nodes)
	if !slices.Equal(nodes, peers) {
		t.Errorf("the nodes are %q, not %q", peers, nodes)
	}
}

// manifest is an object of Kubernetes, of one of the kinds that the example has.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		ClusterIP string
		Ports     []struct {
			Port       int
			TargetPort string
		}
		Ingress []struct {
			Ports []struct{ Port string }
		}
		Template struct{ Spec pod }
	}
}

type pod struct {
	TerminationGracePeriodSeconds int
	Containers                    []struct {
		Env   []struct{ Name, Value string }
		Ports []struct {
			Name          string
			ContainerPort int
		}
		VolumeMounts []struct{ Name, MountPath string }
		Lifecycle    struct {
			PreStop struct{ Sleep struct{ Seconds int } }
		}
		LivenessProbe probe
		Readiness     probe `json:"readinessProbe"`
	}
	Volumes []struct {
		Name   string
		Secret struct{ SecretName string }
	}
}

type probe struct{ HTTPGet struct{ Path, Port string } }

// The nodes in Kubernetes find each other and their secret, the services and the policy name
// their ports, and they have time to end.
func TestNodesOfKubernetes(t *testing.T) {
	t.Parallel()
	byName := map[string]manifest{}
	for _, m := range load[manifest](t, "kubernetes/carillon.yaml") {
		byName[m.Kind+" "+m.Metadata.Name] = m
	}
	spec := byName["Deployment carillon"].Spec.Template.Spec
	c := spec.Containers[0]
	env, ports := map[string]string{}, map[string]int{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	pause := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if grace := time.Duration(spec.TerminationGracePeriodSeconds) * time.Second; pause == 0 || grace < pause+stopTime(t) {
		t.Errorf("the pod has %s to end, %s of them before SIGTERM", grace, pause)
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.Readiness.HTTPGet.Path != "/readyz" {
		t.Errorf("probes %+v, %+v", c.LivenessProbe, c.Readiness)
	}
	mount := c.VolumeMounts[0]
	if path.Dir(env["CARILLON_CLUSTER_SECRET_FILE"]) != mount.MountPath || spec.Volumes[0].Name != mount.Name || spec.Volumes[0].Secret.SecretName == "" {
		t.Errorf("the secret is at %s, not at %s", mount.MountPath, env["CARILLON_CLUSTER_SECRET_FILE"])
	}
	host, port, _ := net.SplitHostPort(env["CARILLON_CLUSTER_DNS"])
	nodes := byName["Service "+host].Spec
	if nodes.ClusterIP != "None" || strconv.Itoa(nodes.Ports[0].Port) != port || env["CARILLON_CLUSTER_ADVERTISE"] != "$(POD_IP):"+port {
		t.Errorf("the nodes are at %s, the service %s has %+v", env["CARILLON_CLUSTER_DNS"], host, nodes)
	}
	for setting, name := range map[string]string{"CARILLON_CLUSTER_ADDR": "cluster", "CARILLON_METRICS_ADDR": "metrics"} {
		if env[setting] != fmt.Sprint(":", ports[name]) {
			t.Errorf("%s is %s, the port %d", setting, env[setting], ports[name])
		}
	}
	if settings()["--addr"] != fmt.Sprint(":", ports["http"]) {
		t.Errorf("the port of clients is %d", ports["http"])
	}
	for _, rule := range byName["NetworkPolicy carillon"].Spec.Ingress {
		delete(ports, rule.Ports[0].Port)
	}
	if len(ports) > 0 || byName["Service carillon"].Spec.Ports[0].TargetPort != "http" || byName["PodDisruptionBudget carillon"].Kind == "" {
		t.Errorf("nothing reaches %v", ports)
	}
}
