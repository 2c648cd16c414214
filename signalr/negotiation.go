package signalr

// Negotiation is the answer to POST {hub}/negotiate. A server sends either Error, or URL with or
// without AccessToken, or the other fields.
type Negotiation struct {
	Error                string  `json:"error,omitempty"`
	URL                  string  `json:"url,omitempty"`
	AccessToken          string  `json:"accessToken,omitempty"`
	UseStatefulReconnect bool    `json:"useStatefulReconnect,omitempty"`
	NegotiateVersion     int     `json:"negotiateVersion"`
	ConnectionID         string  `json:"connectionId"`
	ConnectionToken      string  `json:"connectionToken,omitempty"`      // since version 1; before, the id is the token
	TokenLifetimeSeconds int64   `json:"tokenLifetimeSeconds,omitempty"` // since .NET 11
	AvailableTransports  []Offer `json:"availableTransports"`
	// StatefulTransports are the transports that UseStatefulReconnect holds for. Carillon's server
	// sends them only to a client that asks with statefulTransports=all; for other servers and
	// clients it holds for WebSockets only.
	StatefulTransports []Transport `json:"statefulTransports,omitempty"`
}

// Offer is a transport that the client may try.
type Offer struct {
	Transport       Transport `json:"transport"`
	TransferFormats []string  `json:"transferFormats"`
}
