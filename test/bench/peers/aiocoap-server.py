"""The Python library aiocoap as a server of one short text, for the CoAP benchmark."""

import asyncio
import sys

from aiocoap import Context, Message, resource


class Level(resource.Resource):
    async def render_get(self, request):
        return Message(payload=b"1234", content_format=0)


async def main():
    site = resource.Site()
    site.add_resource(["sensors", "level"], Level())
    await Context.create_server_context(site, bind=("127.0.0.1", int(sys.argv[1])))
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
