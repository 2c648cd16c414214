package main

import (
	"strings"
	"text/template"
)

// randomArchive are the files of a random package.
var randomArchive = template.Must(template.New("").Parse(strings.ReplaceAll(`
{{- define "header"}}
	"context"
	"encoding/json"
	"iter"
	"time"

	"x/drive"

	"github.com/carillon-go/carillon/protocol"
)

var _ context.Context
var _ drive.Case
var _ iter.Seq[time.Time]
var _ json.Number
var _ protocol.Guid

{{end -}}

-- {{.Name}}/contract.go --
package {{.Name}}

import (
	"x/{{.Name}}/model"
{{template "header"}}
type Hub interface {
	base
{{.Hub}}
}

type Client interface {
{{.Client}}
}

type small struct{ X string }

type Page[T any] struct {
	Items []T ''json:"items"''
	Next *T
}

var _ model.Code

{{.Own}}
-- {{.Name}}/base.go --
package {{.Name}}

import (
	"x/{{.Name}}/model"
{{template "header"}}
var _ model.Code

type base interface {
{{.Base}}
}
-- {{.Name}}/model/model.go --
package model

import (
	"strconv"
{{template "header"}}
type Code struct{ N int }

func (c Code) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(c.N), 10), nil }

func (c *Code) UnmarshalText(text []byte) (err error) {
	c.N, err = strconv.Atoi(string(text))
	return err
}

func (c *Code) SetRandom(n int) { c.N = n }

type Deep struct {
	Far bool
	X   []string ''json:"x,omitempty" msgpack:"x"''
}

type Base struct {
	Deep
	ID int8 ''json:"id" msgpack:"id"''
}

type Pair[A, B any] struct {
	First  A
	Second B ''json:"second,omitempty"''
}

{{.Other}}
-- {{.Name}}/check.go --
package {{.Name}}

import (
	"x/{{.Name}}/model"
	carillon "github.com/carillon-go/carillon/hub"
{{template "header"}}
var _ model.Code

{{- if .HasAsk}}
type server struct{ clients ClientContext }

func (s server) caller(ctx context.Context) Client { return s.clients.Caller(ctx) }
{{- else}}
type server struct{ clients carillon.Context[Client] }

func (s server) caller(ctx context.Context) Client { return s.clients.Clients().Caller(ctx) }
{{- end}}

func empty[T any](err error) (v T, _ error) { return v, err }

{{.Impl}}

type receiver struct{ c *drive.Case }

{{.Receiver}}

func Serve(h *carillon.Hub) { RegisterHub(h, server{NewClientContext(h)}) }

func Check(c *drive.Case) {
	ReceiveClient(c.Conn, receiver{c})
	c.Start()
	hub := NewHubClient(c.Conn)
	c.Script(prologue)
{{.Check}}
	c.Script("await connection.stop();\n}")
}

const prologue = ''import { HubConnectionBuilder, type IHubProtocol } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { collect, equal, rejects } from "../drive/drive.js";
import { Hub{{if .HasClient}}, onClient{{end}} } from "./$ENCODING.js";

export default async function run(origin: string): Promise<void> {
  void [MessagePackHubProtocol, collect, equal, rejects];
  const protocols: IHubProtocol[] = [$PROTOCOL];
  const builder = new HubConnectionBuilder().withUrl(origin + "/{{.Name}}");
  for (const one of protocols) builder.withHubProtocol(one);
  const connection = builder.build();
  const hub = new Hub(connection);
{{- if .HasPush}}
  const pushed: unknown[][] = [];
{{- end}}
{{- if .HasClient}}
  onClient(connection, { {{.Handlers}} });
{{- end}}
  await connection.start();''
`, "''", "`")))
