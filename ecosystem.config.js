// Every process of Baton is one PM2 app. Each field stands here with its reason; only the list of
// apps (and what goes into their environment) comes from baton.yaml, through `baton apps --json`.
//
//   ./baton up                        converges: starts, restarts and removes only what it must
//   pm2 start ecosystem.config.js     starts the same apps; those that run are restarted
'use strict'

const { execFileSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const path = require('node:path')

const root = __dirname
const python = process.env.BATON_PYTHON || path.join(root, '.venv', 'bin', 'python')

if (!existsSync(python)) {
  throw new Error(`${python} is missing: run ./baton up once in ${root}`)
}

const apps = JSON.parse(
  execFileSync(python, ['-P', '-m', 'cli', 'apps', '--json'], {
    cwd: root,
    env: { ...process.env, PYTHONPATH: root },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }),
)

module.exports = {
  apps: apps.map((app) => ({
    // PM2 knows an app by its name, in every folder: the instance stands in front of it.
    name: app.name,
    // One namespace a stage, since a stop has an order: `pm2 stop baton-producers` first.
    namespace: app.namespace,

    // A script path with a space in it is run through bash and fails: a relative one does not.
    cwd: root,
    script: 'app.py',
    args: app.arg ? [app.role, app.arg] : [app.role],
    interpreter: python,
    // One process of one name each; PM2's own copies (`instances`) share a name and a log.
    exec_mode: 'fork',

    // "online" means ready: app.py says so on PM2's channel when its role really is.
    wait_ready: true,
    // The longest that PM2 waits for that, in ms: Redis may have much to load.
    listen_timeout: 60_000,

    // SIGINT to the app alone. PM2's default kills the children first: claude before its consumer.
    treekill: false,
    // From SIGINT to SIGKILL, in ms: what the stage needs to finish or to hand back what it holds.
    kill_timeout: app.kill_timeout_ms,

    autorestart: true,
    // A mistake in baton.yaml is no restart loop. Never put 0 here: PM2 counts a death by signal
    // as 0 too, and a killed consumer would stay away. 79 is a consumer that has drained.
    stop_exit_codes: [78, 79],
    // The first pause after a crash, in ms; PM2 makes each next one half as long again, up to 15 s.
    exp_backoff_restart_delay: 100,

    // An app that has grown beyond this is restarted as by `pm2 restart` (PM2 looks every 30 s, at the
    // process itself): a Claude run is none of its memory, goes on and is adopted.
    ...(app.max_memory_bytes ? { max_memory_restart: app.max_memory_bytes } : {}),

    // An empty filter matches every variable of the shell (`true` would match none): the app sees
    // only `env`. Without it all secrets of the shell would be in PM2's files, and a variable that
    // is called like a field here (`name`, `args`) would override that field. Our own secrets are
    // not in `env` either: settings.py reads them from .env. (`pm2 restart NAME --update-env` by
    // hand copies the shell all the same; app.py removes it for everything below the app.)
    filter_env: [''],
    env: { ...app.env, PYTHONUNBUFFERED: '1' },

    // What an app logs it writes into a file of its own (BATON_LOG), which it rotates: PM2 would hold
    // the file open in its daemon. Here goes only what is printed before the app has begun. One file
    // for both outputs, named as here: without merge_logs PM2 adds its own number.
    out_file: app.out,
    error_file: app.out,
    merge_logs: true,

    // PM2 would read .git after every start, and look for a Node agent that is not there.
    vizion: false,
    pmx: false,
    automation: false,
    watch: false,
  })),
}
