// A whole atproto network for the tests: one PLC directory and one PDS, in memory and in a scratch folder.
//
// Prints one line of JSON, {"pds": url, "plc": url}, when both answer. Lives as long as its standard input is
// open: whoever started it holds the other end, so it can't outlive the tests, not even when they are killed.
//
// With --behind the PDS listens on a port of its own, `behind` in that line, and nobody on the port of its URL: that is
// left to whoever is to stand in front of it. A line `stop` stops the PDS, `start {…}` starts it again on the same data
// and port, with other settings if there are any; each is answered by a line when it is done.
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

// The PDS keeps its files under the system's scratch folder and leaves them there; so it gets one of its own.
const scratch = mkdtempSync(join(tmpdir(), 'catalog-network-'))
process.env.TMPDIR = scratch
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
process.env.LOG_ENABLED = 'false'

// Both servers listen with `listen(port)`, on every address. The tests' network is for this machine alone.
const { Server } = await import('node:net')
const listen = Server.prototype.listen
const moved = new Map()
Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number') return listen.call(this, { port: moved.get(first) ?? first, host: '127.0.0.1' }, ...rest.filter((x) => typeof x === 'function'))
  return listen.call(this, first, ...rest)
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })

const importDevEnv = globalThis.importDevEnv ?? (() => import('@atproto/dev-env'))
const { TestNetworkNoAppView, TestPds, mockNetworkUtilities } = await importDevEnv()
const settings = {
  port: await freePort(),
  // Named, as it is to be the same PDS after a stop.
  dataDirectory: join(scratch, 'data'),
  blobstoreDiskLocation: join(scratch, 'blobs'),
  plcRotationKeyK256PrivateKeyHex: randomBytes(32).toString('hex'),
}
mkdirSync(settings.dataDirectory)
if (process.argv.includes('--behind')) moved.set(settings.port, await freePort())
const network = await TestNetworkNoAppView.create({ plc: { port: await freePort() }, pds: settings })
let stopped = false

const commands = {
  stop: async () => {
    stopped = true
    await network.pds.close()
  },
  start: async (other) => {
    network.pds = await TestPds.create({ ...settings, didPlcUrl: network.plc.url, ...JSON.parse(other || '{}') })
    mockNetworkUtilities(network.pds)
    stopped = false
  },
}

let closing = false
const close = async () => {
  if (closing) return
  closing = true
  setTimeout(() => process.exit(1), 3000).unref() // an open connection must not hold the tests
  await (stopped ? network.plc : network).close().catch(() => {})
  process.exit(0)
}
const lines = createInterface({ input: process.stdin })
let before = Promise.resolve()
lines.on('line', (line) => {
  const [, name, other] = /^(\w+) ?(.*)$/.exec(line) ?? []
  before = before.then(() => commands[name](other)).then(() => process.stdout.write(`${name} done\n`))
})
process.stdin.once('end', close)
process.stdin.once('error', close)
process.once('SIGTERM', close)

const urls = { pds: network.pds.url, plc: network.plc.url }
if (moved.size) urls.behind = `http://localhost:${moved.get(settings.port)}`
process.stdout.write(JSON.stringify(urls) + '\n')
