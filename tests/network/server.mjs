// A whole atproto network for the tests: one PLC directory and one PDS, in memory and in a scratch folder.
//
// Prints one line of JSON, {"pds": url, "plc": url}, when both answer. Lives as long as its standard input is
// open: whoever started it holds the other end, so it can't outlive the tests, not even when they are killed.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// The PDS keeps its files under the system's scratch folder and leaves them there; so it gets one of its own.
const scratch = mkdtempSync(join(tmpdir(), 'catalog-network-'))
process.env.TMPDIR = scratch
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
process.env.LOG_ENABLED = 'false'

// Both servers listen with `listen(port)`, on every address. The tests' network is for this machine alone.
const { Server } = await import('node:net')
const listen = Server.prototype.listen
Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number') return listen.call(this, { port: first, host: '127.0.0.1' }, ...rest.filter((x) => typeof x === 'function'))
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

const { TestNetworkNoAppView } = await import('@atproto/dev-env')
const network = await TestNetworkNoAppView.create({
  plc: { port: await freePort() },
  pds: { port: await freePort() },
})

let closing = false
const close = async () => {
  if (closing) return
  closing = true
  setTimeout(() => process.exit(1), 3000).unref() // an open connection must not hold the tests
  await network.close().catch(() => {})
  process.exit(0)
}
process.stdin.resume()
process.stdin.once('end', close)
process.stdin.once('error', close)
process.once('SIGTERM', close)

process.stdout.write(JSON.stringify({ pds: network.pds.url, plc: network.plc.url }) + '\n')
