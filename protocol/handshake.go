package protocol

import (
	"errors"
	"strconv"
)

// HandshakeRequest is the first record that the client sends on a connection.
type HandshakeRequest struct {
	Protocol string // name of a hub protocol; case is ignored
	Version  int
}

// ErrHandshakeTooLong means that the first record exceeds the limit. The original answers
// it with "Handshake was canceled.".
var ErrHandshakeTooLong = errors.New("protocol: the handshake exceeds the limit")

// NextHandshake returns the first complete record of buf and the rest after it, which is
// hub messages. Its parameters are those of [HubProtocol.Next]. The error is
// [ErrHandshakeTooLong].
func NextHandshake(buf []byte, seen, limit int) (record, rest []byte, err error) {
	record, rest, err = nextText(buf, seen, limit)
	if err != nil {
		return nil, buf, ErrHandshakeTooLong
	}
	return record, rest, nil
}

// ParseHandshakeRequest parses a request. The error is a [*Fault].
func ParseHandshakeRequest(record []byte) (HandshakeRequest, error) {
	var (
		q                       HandshakeRequest
		r                       = jsonReader{data: record}
		hasProtocol, hasVersion bool
	)
	err := r.properties(func(name []byte) (err error) {
		switch string(name) {
		case "protocol":
			q.Protocol, err = r.string("protocol", "")
			hasProtocol = true
		case "version":
			var n int64
			n, hasVersion, err = r.integer("version", 32)
			q.Version = int(n)
		default:
			err = r.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return q, handshakeFault(err)
	case !hasProtocol:
		return q, missingInHandshake("protocol", record)
	case !hasVersion:
		return q, missingInHandshake("version", record)
	}
	return q, nil
}

// handshakeFault converts an error. Unlike jsonFault it keeps the reader's text for
// invalid JSON.
func handshakeFault(err error) *Fault {
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		return &Fault{Exception: exceptionJSONReader, Message: syntax.Error()}
	}
	return jsonFault(err)
}

func missingInHandshake(name string, record []byte) *Fault {
	return invalidData("Missing required property '%s'. Message content: %s", name, validText(record))
}

// AppendHandshakeRequest appends a request with its separator.
func AppendHandshakeRequest(dst []byte, r HandshakeRequest) []byte {
	dst = append(dst, `{"protocol":`...)
	dst = appendJSONString(dst, r.Protocol)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(r.Version), 10)
	return append(dst, '}', recordSeparator)
}

// AppendHandshakeResponse appends a response with its separator. An empty errorText
// accepts the handshake; any other refuses it.
func AppendHandshakeResponse(dst []byte, errorText string) []byte {
	if errorText == "" {
		return append(dst, '{', '}', recordSeparator)
	}
	dst = append(dst, `{"error":`...)
	dst = appendJSONString(dst, errorText)
	return append(dst, '}', recordSeparator)
}

// ParseHandshakeResponse parses a response. errorText is the text of a refusal, or "".
// The error, a [*Fault], means that the record is not a handshake response.
func ParseHandshakeResponse(record []byte) (errorText string, err error) {
	r := jsonReader{data: record}
	err = r.properties(func(name []byte) (err error) {
		switch string(name) {
		case "error":
			errorText, err = r.string("error", "")
		case "type":
			err = invalidData("Expected a handshake response from the server.")
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil {
		return "", handshakeFault(err)
	}
	return errorText, nil
}
