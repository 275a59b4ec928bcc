#!/usr/bin/env python3
"""Relay TCP connections through a simulated link, and count the bytes on it.

usage: relay.py --to HOST:PORT [--listen PORT] [--rtt-ms MS] [--mbit RATE] [--trace FILE]

Each direction delays every byte by half the round trip and paces it to RATE (0: not at all); a new
connection waits one round trip first, as TCP's handshake would. Prints the port it listens on.
--trace appends a JSON line for each piece carried: {"t": seconds since the connection began,
"up": bytes} or "down" for those from the server. Loopback only. Ends on SIGTERM.
"""
import argparse
import asyncio
import json
import socket
import time


class Link:
    def __init__(self, args):
        self.delay = args.rtt_ms / 2000
        self.rate = args.mbit * 125_000
        self.host, self.port = args.to.rsplit(":", 1)
        self.trace = open(args.trace, "a", buffering=1) if args.trace else None

    async def carry(self, reader, writer, direction, began):
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
                writer.write(data)
                await writer.drain()

        await asyncio.gather(take(), give())

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
            await asyncio.gather(self.carry(client_reader, server_writer, "up", began),
                                 self.carry(server_reader, client_writer, "down", began))
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
