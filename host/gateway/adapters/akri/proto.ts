// The interface between Akri's agent and its discovery handlers, version v0, as Akri 0.13 speaks it: names and numbers are the wire
// format (project-akri/akri, discovery-utils/proto/discovery.proto). The test has the same as a .proto file.
const field = (type: string, id: number) => ({ type, id });

export const discovery = {
  nested: {
    v0: {
      nested: {
        Registration: {
          methods: {
            RegisterDiscoveryHandler: {
              requestType: "RegisterDiscoveryHandlerRequest",
              responseType: "Empty",
            },
          },
        },
        RegisterDiscoveryHandlerRequest: {
          fields: {
            name: field("string", 1),
            endpoint: field("string", 2),
            endpointType: field("EndpointType", 3),
            shared: field("bool", 4),
          },
          nested: { EndpointType: { values: { UDS: 0, NETWORK: 1 } } },
        },
        Empty: { fields: {} },
        DiscoveryHandler: {
          methods: {
            Discover: {
              requestType: "DiscoverRequest",
              responseType: "DiscoverResponse",
              responseStream: true,
            },
          },
        },
        ByteData: { fields: { vec: field("bytes", 1) } },
        DiscoverRequest: {
          fields: {
            discoveryDetails: field("string", 1),
            discoveryProperties: { keyType: "string", ...field("ByteData", 2) },
          },
        },
        DiscoverResponse: { fields: { devices: { rule: "repeated", ...field("Device", 1) } } },
        Device: {
          fields: {
            id: field("string", 1),
            properties: { keyType: "string", ...field("string", 2) },
            mounts: { rule: "repeated", ...field("Mount", 3) },
            deviceSpecs: { rule: "repeated", ...field("DeviceSpec", 4) },
          },
        },
        Mount: {
          fields: {
            containerPath: field("string", 1),
            hostPath: field("string", 2),
            readOnly: field("bool", 3),
          },
        },
        DeviceSpec: {
          fields: {
            containerPath: field("string", 1),
            hostPath: field("string", 2),
            permissions: field("string", 3),
          },
        },
      },
    },
  },
};
