#!/usr/bin/env python3
"""Relay TCP connections through a simulated link, and count the bytes on it.

usage: relay.py --to HOST:PORT [--listen PORT] [--rtt-ms MS] [--mbit RATE] [--trace FILE]
                [--fault KIND --after BYTES]

Each direction delays every byte by half the round trip and limits it to RATE (0: no limit). A new
connection first waits one round trip, as for TCP's handshake. Prints the port it listens on.
--trace appends a JSON line for each piece carried: {"t": seconds since the connection began,
"up": bytes} or "down" for those from the server. Loopback only. Ends on SIGTERM.

--fault breaks each connection once the server has sent BYTES: "stall" carries nothing more but
closes nothing, "reset" resets it, "fin" ends the server's direction alone, "trickle" continues byte
by byte in both directions.
"""
import argparse
import asyncio
import json
import socket
import struct
import time


class Link:
    def __init__(self, args):
        self.delay = args.rtt_ms / 2000
        self.rate = args.mbit * 125_000
        self.host, self.port = args.to.rsplit(":", 1)
        self.trace = open(args.trace, "a", buffering=1) if args.trace else None
        self.fault, self.after = args.fault, args.after

    async def carry(self, reader, writer, direction, began, state):
        queue = asyncio.Queue(maxsize=1024)

        async def take():
            data = b"-"
            while data:
                data = await reader.read(65536)
                await queue.put((time.monotonic(), data))

        async def give():
            free_at = 0.0
            while True:
                arrived, data = await queue.get()
                free_at = max(arrived, free_at) + (len(data) / self.rate if self.rate else 0)
                await asyncio.sleep(max(0, free_at + self.delay - time.monotonic()))
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                if self.trace:
                    now = round(time.monotonic() - began, 4)
                    self.trace.write(json.dumps({"t": now, direction: len(data)}) + "\n")
                if self.fault:
                    data = await self.harm(state, data, direction, writer)
                writer.write(data)
                await writer.drain()

        await asyncio.gather(take(), give())

    async def harm(self, state, data, direction, writer):
        """Carries the bytes before the fault, causes it, and returns the bytes still to be carried."""
        if direction == "down" and state["down"] < self.after:
            before = data[:self.after - state["down"]]
            state["down"] += len(before)
            writer.write(before)
            await writer.drain()
            data = data[len(before):]
        if state["down"] < self.after:
            return data
        if self.fault == "trickle":
            for byte in data:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            return b""
        if self.fault == "reset":
            for each in state["writers"]:
                sock = each.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.transport.abort()
            raise ConnectionResetError
        if direction == "up" and self.fault == "fin":
            return data
        if self.fault == "fin":
            writer.write_eof()
        await asyncio.Event().wait()

    async def connection(self, client_reader, client_writer):
        began = time.monotonic()
        try:
            await asyncio.sleep(2 * self.delay)
            server_reader, server_writer = await asyncio.open_connection(self.host, int(self.port))
        except OSError:
            client_writer.close()
            return
        try:
            for writer in (client_writer, server_writer):
                writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            state = {"down": 0, "writers": (client_writer, server_writer)}
            await asyncio.gather(self.carry(client_reader, server_writer, "up", began, state),
                                 self.carry(server_reader, client_writer, "down", began, state))
        except OSError:
            pass
        finally:
            client_writer.close()
            server_writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True)
    parser.add_argument("--listen", type=int, default=0)
    parser.add_argument("--rtt-ms", type=float, default=0)
    parser.add_argument("--mbit", type=float, default=0)
    parser.add_argument("--trace")
    parser.add_argument("--fault", choices=("stall", "reset", "fin", "trickle"))
    parser.add_argument("--after", type=int, default=0)
    args = parser.parse_args()
    server = await asyncio.start_server(Link(args).connection, "127.0.0.1", args.listen)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
