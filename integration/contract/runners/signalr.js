// The names that the checks import, of the browser builds, which set globals.

export const { HubConnectionBuilder } = globalThis.signalR;
export const { MessagePackHubProtocol } = globalThis.signalR.protocols.msgpack;
