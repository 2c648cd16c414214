/** Invokes the methods of ChatHub. */
export class ChatHub {
    connection;
    constructor(connection) {
        this.connection = connection;
    }
    /** Join enters a room under a name and returns the latest messages of the room. */
    join(room, name) {
        return this.connection.invoke("Join", room, name);
    }
    /** Say sends a text to everybody in the caller's room. */
    say(text) {
        return this.connection.invoke("Say", text);
    }
}
/** Registers handlers. The result takes them back. */
export function onChat(connection, handlers) {
    const handler1 = (m) => handlers.said(m);
    connection.on("Said", handler1);
    const handler2 = (names) => handlers.present(names);
    connection.on("Present", handler2);
    return () => {
        connection.off("Said", handler1);
        connection.off("Present", handler2);
    };
}
/** Returns the text of an error that the hub has made for its clients, or undefined for any other error. */
export function hubError(error) {
    const general = /^(?:An unexpected error occurred invoking '.*?' on the server|An error occurred on the server while streaming results)\. HubException: (.*)$/s;
    return error instanceof Error ? general.exec(error.message)?.[1] : undefined;
}
