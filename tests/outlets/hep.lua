-- HEPv3 for tshark, whose own releases know none: the chunks as fields, the payload to the dissector for SIP.
local hep = Proto("hep3", "HEPv3")
local known = {
  [3] = ProtoField.ipv4("hep3.src_ip4", "Source"), [4] = ProtoField.ipv4("hep3.dst_ip4", "Destination"),
  [5] = ProtoField.ipv6("hep3.src_ip6", "Source"), [6] = ProtoField.ipv6("hep3.dst_ip6", "Destination"),
  [7] = ProtoField.uint16("hep3.src_port", "Source port"), [8] = ProtoField.uint16("hep3.dst_port", "Destination port"),
  [9] = ProtoField.uint32("hep3.seconds", "Seconds"), [11] = ProtoField.uint8("hep3.kind", "Kind"),
  [12] = ProtoField.uint32("hep3.agent", "Capture agent"), [14] = ProtoField.string("hep3.key", "Key"),
  [17] = ProtoField.string("hep3.correlation", "Correlation"), [19] = ProtoField.string("hep3.node", "Node"),
}
for _, field in pairs(known) do table.insert(hep.fields, field) end
function hep.dissector(buffer, packet, tree)
  if buffer(0, 4):string() ~= "HEP3" then return 0 end
  local branch, at, stop = tree:add(hep, buffer()), 6, buffer(4, 2):uint()
  while at < stop do
    local kind, length = buffer(at + 2, 2):uint(), buffer(at + 4, 2):uint()
    local value = buffer(at + 6, length - 6)
    if known[kind] then branch:add(known[kind], value) end
    if kind == 15 then Dissector.get("sip"):call(value:tvb(), packet, tree) end
    at = at + length
  end
  return stop
end
DissectorTable.get("udp.port"):add(9060, hep)
