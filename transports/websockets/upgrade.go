package websockets

import (
	"bufio"
	"crypto/sha1" // RFC 6455 asks for it; it protects nothing
	"encoding/base64"
	"io"
	"net"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/transports"
)

// subprotocol is what is chosen of what the client offers, if anything is.
func subprotocol(r *http.Request, o *transports.Options) string {
	if o.SubprotocolSelector == nil {
		return ""
	}
	offered := websocket.Subprotocols(r)
	if len(offered) == 0 {
		return ""
	}
	return o.SubprotocolSelector(offered)
}

// upgrade takes the network connection from the HTTP server and answers the handshake,
// which was found to be a valid one. early is what the client sent behind it without waiting
// for the answer.
func upgrade(w http.ResponseWriter, r *http.Request, protocol string) (conn net.Conn, early []byte, err error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		transports.Empty(w, http.StatusInternalServerError)
		return nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early = make([]byte, n)
		_, _ = io.ReadFull(rw.Reader, early) // from the buffer
	}
	if err := answer(rw.Writer, r, w.Header(), protocol); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, early, nil
}

// answer writes the answer to a handshake. header is what middleware has put there, such as
// cookies and CORS.
func answer(w *bufio.Writer, r *http.Request, header http.Header, protocol string) error {
	_, _ = w.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	_, _ = w.Write(accept(r.Header.Get("Sec-WebSocket-Key")))
	if protocol != "" {
		header.Del("Sec-WebSocket-Protocol")
		_, _ = w.WriteString("\r\nSec-WebSocket-Protocol: " + protocol)
	}
	_, _ = w.WriteString("\r\n")
	_ = header.Write(w)
	_, _ = w.WriteString("\r\n")
	return w.Flush() // fails if anything before did
}

// accept is what proves that the key of a handshake was understood (RFC 6455, 4.2.2).
func accept(key string) []byte {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.AppendEncode(nil, sum[:])
}
