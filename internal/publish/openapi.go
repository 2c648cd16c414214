package publish

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// documentPath is the path of the document, below /api.
const documentPath = "/openapi.json"

// Document returns the description of the interface in OpenAPI 3.0, as JSON. It is made of the
// routes that requests are matched with.
func Document() []byte { return document() }

var document = sync.OnceValue(func() []byte {
	text, err := json.MarshalIndent(openAPI(), "", "  ")
	if err != nil {
		panic(err) // it consists of text
	}
	return append(text, '\n')
})

func serveDocument(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		(&failure{status: http.StatusMethodNotAllowed, code: codeMethod, allow: "GET, HEAD", message: "this path is not for the method of the request"}).write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(document())))
	_, _ = w.Write(document()) // the client may have gone
}

type object map[string]any

func openAPI() object {
	paths := map[string]object{}
	for i := range table {
		r := &table[i]
		for n, path := range r.v1Paths {
			add(paths, prefix+"/v1"+path, r, operation(r, "V1", n, r.v1Status, nil))
		}
		for n, path := range r.paths {
			add(paths, prefix+path, r, operation(r, "", n, r.status, versionNames[r.since:]))
		}
	}
	return object{
		"openapi": "3.0.3",
		"info": object{
			"title": "Carillon: publishing", "version": versionNames[v2024],
			"description": "Sends to the clients of a hub and closes their connections. Operations, paths and codes are those of Azure SignalR Service. docs/publishing.md has examples, limits and what is not offered.",
		},
		"security":   []object{{"apiKey": []string{}}, {"token": []string{}}},
		"paths":      paths,
		"components": components,
	}
}

// add adds an operation at a path. HEAD is GET without the body.
func add(paths map[string]object, path string, r *route, o object) {
	if paths[path] == nil {
		paths[path] = object{"parameters": pathParameters(path)}
	}
	paths[path][strings.ToLower(r.method)] = o
	if r.method == http.MethodGet {
		head := maps.Clone(o)
		head["operationId"] = o["operationId"].(string) + "Head"
		paths[path]["head"] = head
	}
}

func pathParameters(path string) []object {
	all := []object{}
	for _, name := range []string{"hub", "group", "user", "connection"} {
		if strings.Contains(path, "{"+name+"}") {
			all = append(all, reference("parameters", name))
		}
	}
	return all
}

func reference(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

func parameter(in, name, description string, schema object) object {
	p := object{"name": name, "in": in, "description": description, "schema": schema}
	if in == "path" {
		p["required"] = true
	}
	return p
}

var text = object{"type": "string"}

func number(least, most int) object {
	return object{"type": "integer", "minimum": least, "maximum": most}
}

// parameters are the parameters of paths, queries and headers.
var parameters = object{
	"hub":               parameter("path", "hub", "The name of the hub, which ignores case.", object{"type": "string", "pattern": hubName}),
	"group":             parameter("path", "group", "The name of the group, which is not only white space.", object{"type": "string", "minLength": 1, "maxLength": maxGroup}),
	"user":              parameter("path", "user", "The id of the user.", object{"type": "string", "minLength": 1}),
	"connection":        parameter("path", "connection", "The id of the connection.", object{"type": "string", "minLength": 1}),
	"application":       parameter("query", "application", "Text in front of the name of the hub, with _ between them.", text),
	"excluded":          parameter("query", "excluded", "Connections that are left out; may be repeated.", object{"type": "array", "maxItems": maxExcluded, "items": text}),
	"reason":            parameter("query", "reason", "The error text of the close message.", text),
	"ttl":               parameter("query", "ttl", "Seconds of the membership. Default: a year. 0: present connections only.", number(0, maxTTL)),
	"maxpagesize":       parameter("query", "maxpagesize", "Connections of a page. Default: "+strconv.Itoa(defaultPage)+".", number(1, maxPage)),
	"top":               parameter("query", "top", "Connections of all pages. Default: all.", number(1, maxTop)),
	"continuationToken": parameter("query", "continuationToken", "The page to begin with; nextLink contains it.", text),
	"userId":            parameter("query", "userId", "The id of the client's user. Default: none.", text),
	"minutesToExpire":   parameter("query", "minutesToExpire", "The life of the token. Default: "+strconv.Itoa(defaultMinutes)+".", number(1, maxMinutes)),
	"Idempotency-Key":   parameter("header", "Idempotency-Key", "A repetition with the same key is not done again.", object{"type": "string", "minLength": 1, "maxLength": maxKeyLength}),
}

// operation returns a route as the document has it: at the nth of its paths.
func operation(r *route, suffix string, n, status int, versions []string) object {
	used := []object{}
	if versions != nil {
		used = append(used, object{"name": "api-version", "in": "query", "required": true, "schema": object{"type": "string", "enum": versions}})
	}
	if !r.isOpen {
		used = append(used, reference("parameters", "application"))
	}
	for _, name := range r.queries {
		used = append(used, reference("parameters", name))
	}
	if r.once {
		used = append(used, reference("parameters", "Idempotency-Key"))
	}
	id := r.id + suffix
	if n > 0 {
		id += "Reversed"
	}
	o := object{"operationId": id, "summary": r.summary, "parameters": used, "responses": responses(r, status)}
	if r.isOpen {
		o["security"] = []object{}
	}
	if r.message {
		o["requestBody"] = reference("requestBodies", "Message")
	}
	return o
}

func content(schema string) object {
	return object{typeJSON: object{"schema": reference("schemas", schema)}}
}

// responses returns the answers of a route, whose success has a status.
func responses(r *route, status int) object {
	success := object{"description": "Success"}
	if r.result != "" {
		success["content"] = content(r.result)
	}
	all := object{strconv.Itoa(status): success, "default": reference("responses", "Error")}
	if r.missing != "" {
		all["404"] = reference("responses", r.missing)
	}
	return all
}

// failed returns the response of an error whose code is one of codes, or any.
func failed(description string, codes ...string) object {
	code := object{"type": "string"}
	if codes != nil {
		code["enum"] = codes
	}
	return object{"description": description, "content": content("ErrorDetail"), "headers": object{"x-ms-error-code": object{"schema": code}}}
}

// components are the schemas and the credentials.
var components = object{
	"securitySchemes": object{
		"apiKey": object{"type": "apiKey", "in": "header", "name": "X-Api-Key"},
		"token":  object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Signed with an access key (HS256 or HS512). Its aud is the URL of the request."},
	},
	"parameters": parameters,
	"requestBodies": object{"Message": object{"required": true, "content": object{
		typeJSON:        object{"schema": reference("schemas", "Message")},
		typeMessagePack: object{"schema": reference("schemas", "Message")},
		typeFrames:      object{"schema": object{"type": "string", "format": "binary", "description": "MessagePack: a map of frames by the name of their hub protocol"}},
	}}},
	"responses": object{
		"Error":             failed("Error"),
		codeConnection:      failed("There is no such connection", codeConnection),
		codeErrorConnection: failed("There is no such connection", codeErrorConnection),
		codeGroup:           failed("No connection is in the group", codeGroup),
		codeUser:            failed("The user has no connection", codeUser),
		codeNotInGroup:      failed("The user is not in the group", codeNotInGroup),
	},
	"schemas": object{
		"Message": object{
			"type": "object", "required": []string{"target"},
			"properties": object{
				"target":    object{"type": "string", "minLength": 1, "description": "The clients' method."},
				"arguments": object{"type": "array", "items": object{}},
			},
		},
		"ErrorDetail": object{
			"type": "object", "required": []string{"code", "message"},
			"properties": object{
				"code":    object{"type": "string", "description": "The same as in the header x-ms-error-code."},
				"message": object{"type": "string"},
				"target":  object{"type": "string", "description": "The part of the request that is wrong."},
			},
		},
		"InvokeResult": object{
			"type":       "object",
			"properties": object{"result": object{}, "protocol": object{"type": "string", "description": "The hub protocol of the client."}},
		},
		"ConnectionPage": object{
			"type": "object",
			"properties": object{
				"value": object{"type": "array", "items": object{"type": "object", "properties": object{
					"connectionId": object{"type": "string"}, "userId": object{"type": "string"},
				}}},
				"nextLink": object{"type": "string", "description": "The URL of the next page."},
			},
		},
		"ClientToken": object{"type": "object", "properties": object{"token": object{"type": "string"}}},
	},
}
