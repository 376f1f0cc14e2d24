#!/usr/bin/env bash
# The official Python servers answer a call of a tool that they do not have with a result.
#
# Versions: mcp 2.3.0 (MCPServer) and mcp 1.30.0 (FastMCP), from PyPI.
# Behaviour: the specification of MCP (2025-11-25, "Tools", "Error Handling") puts unknown tools
#   among the errors of the protocol: JSON-RPC code -32602. Both servers send a result with
#   `isError` true and the text "Unknown tool: NAME" instead, as they do when a tool fails. So a
#   client that tells a wrong name (look at the list again) from a tool that failed (try
#   other arguments) by the kind of reply takes the one for the other, and must look at the text.
# Seen: in both, isError=True and "Unknown tool: gone", November 2026.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

install() {
    python3 -m venv "$dir/$1"
    "$dir/$1/bin/pip" install --quiet "mcp==$1"
}
expect() {
    local said
    said=$("$dir/$1/bin/python" -c "$2" 2>/dev/null) || said="raised an error"
    if [ "$said" != "True Unknown tool: gone" ]; then
        echo "changed: mcp $1 says: $said"
        exit 1
    fi
}

install 2.3.0
expect 2.3.0 '
import asyncio
from mcp import Client
from mcp.server import MCPServer

async def main():
    async with Client(MCPServer("empty")) as client:
        result = await client.call_tool("gone", {})
        print(result.is_error, result.content[0].text)

asyncio.run(main())
'

install 1.30.0
expect 1.30.0 '
import asyncio
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session

async def main():
    server = FastMCP("empty")
    async with create_connected_server_and_client_session(server._mcp_server) as client:
        result = await client.call_tool("gone", {})
        print(result.isError, result.content[0].text)

asyncio.run(main())
'
echo "as recorded: both call an unknown tool a result with isError"
