package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

const (
	contentJSON = "application/json"
	contentPack = "application/x-msgpack"
)

// codecs are the hub protocols of bodies and answers, by their names.
var codecs = map[string]protocol.HubProtocol{
	"json":        protocol.NewJSON(protocol.JSONOptions{}),
	"messagepack": protocol.NewMessagePack(),
}

// answer is a successful answer of the backend.
type answer struct {
	contentType string
	body        []byte
}

// errAnswer is wrapped by the reasons not to accept an answer.
var errAnswer = errors.New("the answer is not exactly one completion of the invocation")

// completion parses the answer to the invocation id, which was sent in a protocol. plain accepts
// a completion in JSON without the separator of records.
func (a *answer) completion(protocolName, id string, plain bool) (c hub.Answer, err error) {
	if len(a.body) == 0 {
		return c, nil
	}
	p := codecs[protocolName]
	record, err := a.record(p, plain)
	if err != nil {
		return c, err
	}
	var m protocol.Message
	if err = p.Parse(record, &m); err == nil {
		err = m.Outcome(nil)
	}
	switch {
	case err != nil:
		return c, fmt.Errorf("%w: %w", errAnswer, err)
	case m.Type != protocol.Completion:
		return c, fmt.Errorf("%w: it has the type %d", errAnswer, m.Type)
	case m.InvocationID != id:
		return c, fmt.Errorf("%w: it has another invocation id", errAnswer)
	}
	return hub.Answer{Protocol: p.Name(), Result: m.Payload, Failed: m.HasError, Error: m.Error}, nil
}

// record returns the only record of the body.
func (a *answer) record(p protocol.HubProtocol, plain bool) ([]byte, error) {
	record, rest, err := p.Next(a.body, 0, 0)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	case record == nil && plain && a.isJSON():
		record = a.body
	case record == nil:
		return nil, fmt.Errorf("%w: it is not a complete record", errAnswer)
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: there is more after the first record", errAnswer)
	}
	if !p.Binary() && !json.Valid(record) { // Parse ignores data after the object
		return nil, fmt.Errorf("%w: it is not JSON", errAnswer)
	}
	return record, nil
}

func (a *answer) isJSON() bool {
	kind, _, err := mime.ParseMediaType(a.contentType)
	return err == nil && kind == contentJSON
}
