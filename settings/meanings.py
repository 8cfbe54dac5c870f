"""What each setting is for, in a sentence: the words of docs/configuration.md.

Nothing reads this while Baton runs. tests/unit/test_reference.py holds it against the types.
"""

TOP = {
    "instance": "The name of this installation, and the first word of its processes in `pm2 ls`.",
    "host": "What this machine is called where several work together, and what its own queue is called after: "
    "`host:` and the name. Otherwise its name of the day on which it was first used.",
    "redis": "Where tasks are kept: `embedded`, a server of Baton's own, or the URL of one that you "
    "run. REDIS_URL in `.env` takes the place of `embedded`.",
    "redis_unsafe": "`allow` accepts a server of yours that may lose accepted tasks.",
    "consumers": "How many tasks run at the same time; or groups, each with queues of its own. One that takes from "
    "`default` takes from this machine's own queue, too.",
    "claude": "How Claude is run, see below.",
    "budget_usd_per_day": "What all Claude tasks of a day may cost together; then the gate closes until the next "
    "day.",
    "budget_tokens_per_day": "The same in tokens, for those who pay by subscription: input, cache writes and output.",
    "timezone": "The IANA zone whose midnight ends a day of the budgets, and of schedules that name none.",
    "keep_finished": "How long a finished task, its result and the folder of its attempts are kept.",
    "keys_kept": "How long a key (a drop, an item, a tick, your own) is remembered, so that it is not done again.",
    "attempts_max_size": "How much room the folders of all attempts may take before the oldest go.",
    "max_memory": "What each process but Redis may take before PM2 restarts it; a Claude run goes on.",
    "workspaces": "Where tasks with a `workspace` get their folders.",
    "watchers": "Folders whose files become tasks, by name.",
    "pollers": "Sources that are asked again and again, by name.",
    "schedules": "Times that come again and again, by name.",
    "tasks": "Python modules of yours with tasks in them.",
    "alerts": "Who is told when something needs a person, see below.",
    "ping_url": "An address that is asked every minute while all is well, so that silence is noticed "
    "from outside (Healthchecks' protocol); `${NAME}` stands for a variable of `.env`.",
}

CLAUDE = {
    "command": "Which claude; otherwise the one on PATH when `./baton up` was run.",
    "model": "The model, by alias or full name.",
    "fallback_model": "The model to take while the first is overloaded.",
    "effort": "How much work Claude puts into an answer.",
    "permission_mode": "What happens to a tool that no rule names: nobody is there to be asked, so `dontAsk` "
    "denies it.",
    "allowed_tools": 'Tools that may be used, with patterns where a tool takes them: `Read`, `"Bash(git *)"`.',
    "disallowed_tools": "Tools that may not be used, whatever else allows them.",
    "tools": 'Which built-in tools there are at all; `""` for none.',
    "system_prompt": "Replaces Claude Code's own system prompt.",
    "system_prompt_file": "The same, from a file.",
    "append_system_prompt": "Is added to Claude Code's own system prompt.",
    "append_system_prompt_file": "The same, from a file.",
    "max_turns": "How many turns an attempt may take; then the task fails as `max_turns`.",
    "max_budget_usd": "What a task may cost, all its attempts together.",
    "mcp_config": "MCP servers: files, or the mapping itself.",
    "strict_mcp_config": "No MCP server but those of `mcp_config`.",
    "setting_sources": "Whose settings Claude reads: `user`, `project`, `local`. A folder's own are code "
    "(hooks), so `project` is for folders that you trust.",
    "settings": "Further settings of Claude Code: a file, or the mapping itself.",
    "add_dir": "Further folders that tools may reach.",
    "agents": "Subagents, as Claude Code spells them.",
    "agent": "The agent that plays the main part.",
    "json_schema": "The shape that the answer is to have; an attempt whose answer has another is `unverified`.",
    "betas": "Beta features of the API, for those who pay by API key.",
    "plugin_dir": "Folders with plugins.",
    "plugin_url": "Addresses of plugins.",
    "file": "Files of the API's to be there at the start, as `file_id:path`.",
    "bare": "Claude Code without hooks, plugins, memory and the like.",
    "safe_mode": "Claude Code without the customisations of the machine.",
    "disable_slash_commands": "Without slash commands and skills.",
    "exclude_dynamic_system_prompt_sections": "Leaves out of the system prompt what differs from "
    "machine to machine, for a better use of the cache.",
    "cwd": "The folder that Claude works in.",
    "env": "Names of variables that an attempt sees; their values stand in `.env`. Only what is "
    "named here is passed on.",
    "max_runtime": "An attempt that takes longer is stopped and tried again; the time asleep is not counted.",
    "max_silence": "The same for one that reports nothing for so long while no tool is at work.",
    "max_tool_runtime": "The same for one call of a tool.",
    "retries": "How many further attempts a task gets after those that count: crashes, timeouts, `unverified`.",
    "on_crash": "What follows a crash: another attempt in the same session, one that begins afresh, or a "
    "held task that waits for you.",
    "on_denied": "Whether a task whose tool was denied has failed.",
    "result": "A file that Baton writes the answer's text to. May hold the variables of the prompt.",
    "verify": "A program that says whether the work is good: exit status 0. No shell is involved.",
    "verify_timeout": "How long it may take.",
    "workspace": "A folder of the task's own: `fresh` is empty, `worktree` a git worktree of the "
    "repository at `cwd`.",
    "keep_workspace": "When that folder stays: with work in it, of a task that failed, always, never.",
}

#: What every watcher, poller and schedule has.
ENTRY = {
    "prompt": "What Claude is asked: a Jinja2 template, in which what comes from outside is data.",
    "task": "Instead of `prompt`: the name of a Python task of your own.",
    "result": CLAUDE["result"],
    "priority": "More is sooner.",
    "queue": "A queue that a group of consumers takes from.",
    "lock": "Of all tasks with the same lock one runs at a time. May hold the variables of the prompt.",
}

WATCHER = {
    "path": "The folder.",
    "done": "Where a file goes when its task has succeeded: a folder, `delete` or `leave`. `Done` "
    "beside the watched one otherwise.",
    "failed": "Where it goes when its task has not. `Failed` beside the watched one otherwise.",
    "settle": "A file is complete when it has not changed for so long; 0 for writers that rename into place.",
    "recursive": "Whether folders inside count too.",
    "edits": "Whether tasks change their file themselves, so that a changed file is not run again.",
    "include": "Only files whose names match one of these patterns.",
    "ignore": "Never those that match one of these.",
    "shared": "Whether all machines see this folder under the same path, so that consumers of any of them may "
    "take its tasks. Otherwise only those of this machine do.",
    "queue": "A queue that a group of consumers takes from. `default` where `shared`.",
    "dedupe": "`content`: a file with the content of an earlier one is no task, and is put into "
    "`failed` with the reason.",
}

POLLER = {
    "every": "How long between two polls.",
    "command": "A program that prints its items, one JSON object with an `id` a line. No shell is involved.",
    "http": "An address that answers JSON, see below.",
    "feed": "An RSS or Atom feed: its address, or a mapping, see below.",
    "timeout": "How long one poll may take, all its pages together.",
    "first": "What becomes of the first poll's items: all are tasks, none is, or so many.",
}

HTTP = {
    "url": "The address.",
    "method": "GET, or POST, which `json` implies.",
    "headers": "Further headers; `${NAME}` stands for a variable of `.env`.",
    "query": "Parameters of the address; `${NAME}` likewise.",
    "json": "The body of a POST.",
    "bearer": "The name of the variable that holds a bearer token.",
    "basic": "The names of the two variables that hold user and password.",
    "items": "JMESPath to the list of items; `@` when the answer is the list.",
    "id": "JMESPath to the id in an item.",
    "next": "Where the next page is: `link` (the Link header), or a JMESPath to its address or to a cursor.",
    "next_query": "The parameter that takes that cursor.",
}

FEED = {name: HTTP[name] for name in ("url", "headers", "query", "bearer", "basic")}

SCHEDULE = {
    "cron": "Five fields in quotes, or `@daily` and its like.",
    "every": "Instead of `cron`: an interval, counted in UTC from 1970.",
    "timezone": "The IANA zone of `cron`; the one at the top, or the machine's, otherwise.",
    "catch_up": "Of missed ticks the last one runs late, or each, or none.",
    "catch_up_window": "Ticks that are older than this do not run any more.",
    "overlap": "What becomes of a tick whose predecessor's task is not done.",
    "jitter": "Fires up to so much later, always by the same amount.",
    "ping_url": "An address that is told of each start and end of its tasks (Healthchecks' protocol); "
    "`${NAME}` stands for a variable of `.env`.",
}

ALERTS = {
    "webhook": "An address that takes JSON by POST, or a mapping, see below. This or `command`.",
    "command": "A program that takes the JSON on standard input; exit status 0 says that it is "
    "delivered. No shell is involved.",
    "env": "Names of variables that the command sees beside the usual ones; their values stand in `.env`.",
    "on": "What is told of.",
    "timeout": "How long one delivery may take, at most 60s.",
    "after": "How long a watched folder has been in trouble, or a tick has been due, before anybody is told.",
    "waiting": "How long tasks have waited and nobody has taken one.",
    "disk_free": "Less than this left, for Baton's state, its workspaces or a watched folder, is told.",
    "budget_percent": "So much of the day's budget spent is told.",
}

WEBHOOK = {
    "url": "The address; `${NAME}` stands for a variable of `.env`.",
    "headers": "Further headers; `${NAME}` likewise.",
}

GROUP = {
    "queues": "The queues that these processes take from, the first one first.",
    "count": "How many processes.",
}
