-- The three filters as a node's module would have them, each fed a sample at a time, and `run` that feeds them.
local window, at, count, sum = {}, 0, 0, 0
for i = 0, 7 do window[i] = 0 end

local function average(value)
  sum = sum + value - window[at]
  window[at] = value
  at = (at + 1) & 7
  if count < 8 then count = count + 1 end
  return sum / count
end

local above, run_length = false, 0

local function flood(value)
  local beyond
  if above then beyond = value < 250 else beyond = value > 300 end
  if beyond then run_length = run_length + 1 else run_length = 0 end
  if run_length == 3 then
    above = not above
    run_length = 0
    return above and 1 or 0
  end
  return -1
end

local squares, samples = 0, 0

local function vibration(value)
  squares = squares + value * value
  samples = samples + 1
  if samples < 64 then return -1 end
  local mean = squares / 64
  squares = 0
  samples = 0
  return mean ^ 0.5
end

local filters = { [0] = average, flood, vibration }

function run(which, n)
  local filter = filters[which]
  local x, hash = 1, 7
  for _ = 1, n do
    x = (x * 1103 + 12345) & 0xffff
    local out = filter(x % 1001 - 500)
    hash = (hash * 31 + math.floor(out * 8) + 4000) % 65521
  end
  return hash
end
