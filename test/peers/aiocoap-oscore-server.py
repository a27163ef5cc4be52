"""aiocoap as a server of two resources under OSCORE: a count that is observed, and a body that is put and read in blocks.

Arguments: the folder with the security context (settings.json). Prints the port that the system chose.
"""

import asyncio
import socket
import sys

from aiocoap import Context, Message, resource
from aiocoap.credentials import CredentialsMap
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper


class Count(resource.ObservableResource):
    def __init__(self):
        super().__init__()
        self.count = 0

    async def render_get(self, request):
        return Message(payload=str(self.count).encode(), content_format=0)

    async def render_post(self, request):
        self.count += 1
        self.updated_state()
        return Message()


class Body(resource.Resource):
    def __init__(self):
        super().__init__()
        self.body = b""

    async def render_put(self, request):
        self.body = request.payload
        return Message()

    async def render_get(self, request):
        return Message(payload=self.body, content_format=42)


def free_port():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::", 0))
        return probe.getsockname()[1]


async def main():
    site = resource.Site()
    site.add_resource(["count"], Count())
    site.add_resource(["body"], Body())
    credentials = CredentialsMap()
    credentials.load_from_dict({":node": {"oscore": {"basedir": sys.argv[1]}}})
    port = free_port()
    context = await Context.create_server_context(
        OscoreSiteWrapper(site, credentials), bind=("127.0.0.1", port)
    )
    context.server_credentials = credentials
    print(port, flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
