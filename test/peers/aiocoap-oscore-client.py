"""A client written by others, under OSCORE: does what each line of standard input asks for, and prints what came of it.

A line is JSON: {"method": "GET", "path": "node", "payload": hex or absent}, or {"observe": path, "count": n}. Each is answered with
a line: {"code": "2.05", "payload": hex}, an observation with {"payloads": [hex, ...]}. aiocoap takes blocks and Echo by itself.
"""

import asyncio
import json
import sys

import aiocoap
from aiocoap import Message, numbers

address, folder = sys.argv[1:]


async def ask(context, request):
    message = Message(
        code=getattr(numbers.codes.Code, request["method"]),
        uri=f"{address}/{request['path']}",
        payload=bytes.fromhex(request.get("payload", "")),
    )
    response = await asyncio.wait_for(context.request(message).response, 40)
    code = f"{response.code >> 5}.{response.code & 31:02}"
    protected = hasattr(response.remote, "security_context")
    return {"code": code, "payload": response.payload.hex(), "protected": protected}


async def observe(context, request):
    message = Message(code=aiocoap.GET, uri=f"{address}/{request['observe']}", observe=0)
    requester = context.request(message)
    seen = [(await asyncio.wait_for(requester.response, 40)).payload.hex()]
    print(json.dumps({"first": seen[0]}), flush=True)
    async for response in requester.observation:
        seen.append(response.payload.hex())
        if len(seen) >= request["count"]:
            requester.observation.cancel()
            break
    return {"payloads": seen}


async def main():
    context = await aiocoap.Context.create_client_context()
    context.client_credentials.load_from_dict({f"{address}/*": {"oscore": {"basedir": folder}}})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        try:
            work = observe if "observe" in request else ask
            answer = await work(context, request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    await context.shutdown()


asyncio.run(main())
