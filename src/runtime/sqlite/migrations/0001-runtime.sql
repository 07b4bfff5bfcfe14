-- The runtime plane. Instants are milliseconds of the runtime's clock; lists and records are JSON text.

-- One row: the clock (L5) and the counters, which only grow.
create table runtime (
  id integer primary key check (id = 1),
  runtime_id text not null,
  clock_offset integer not null,
  last_now integer not null,
  last_token integer not null,
  last_seq integer not null,
  last_version integer not null,
  pruned_at integer not null,
  -- Events up to this seq are gone.
  pruned_seq integer not null
) strict;

-- Every grant there was; `ended` says how it came to its end, null while nobody has seen that. The newest of a task is
-- the one that counts.
create table lease (
  fencing_token integer primary key,
  task_id text not null,
  created_at text not null,
  lease_id text not null unique,
  kind text not null check (kind in ('work', 'review')),
  agent_id text not null,
  session text not null,
  reopens text not null,
  locks text not null,
  granted_at integer not null,
  expires_at integer not null,
  ttl integer not null,
  ended text check (ended in ('expired', 'released', 'reverted', 'done', 'verified', 'reopened', 'deleted', 'forced', 'left')),
  ended_at integer
) strict;
-- L1: at most one lease of a task is not ended. A grant that would make two is refused by this index.
create unique index lease_open on lease (task_id, created_at) where ended is null;
create index lease_open_expiry on lease (expires_at) where ended is null;
create index lease_task on lease (task_id, created_at, fencing_token);
create index lease_agent on lease (agent_id, fencing_token);

create table outcome (
  task_id text not null,
  created_at text not null,
  version integer not null unique,
  reopens text not null,
  rank integer not null,
  verified integer not null,
  completed_by text,
  completed_at integer,
  verified_by text,
  verified_at integer,
  completed_in text,
  unblocked text,
  worktree text not null,
  branch text not null,
  at integer not null,
  primary key (task_id, created_at)
) strict, without rowid;

-- Which spec still has to learn of a change (T2), as a copy of the outcome that this very change recorded: a verification
-- elsewhere must not alter a `done` that waits.
create table outbox (
  outbox_id integer primary key autoincrement,
  target_worktree text not null,
  target_branch text not null,
  change text not null,
  task_id text not null,
  created_at text not null,
  version integer not null,
  reopens text not null,
  rank integer not null,
  verified integer not null,
  completed_by text,
  completed_at integer,
  verified_by text,
  verified_at integer,
  completed_in text,
  unblocked text,
  worktree text not null,
  branch text not null,
  at integer not null
) strict;

create table agent (
  agent_id text primary key,
  display_name text,
  role text,
  capabilities text not null,
  session_meta text not null,
  registered_at integer not null,
  last_seen_at integer not null,
  left_at integer,
  worktree text not null,
  session text not null
) strict, without rowid;

create table event (
  seq integer primary key,
  created_at integer not null,
  type text not null,
  agent_id text,
  task_id text,
  data text
) strict;
create index event_task on event (task_id, seq) where task_id is not null;

create table message (
  message_no integer primary key autoincrement,
  message_id text not null unique,
  from_agent_id text,
  task_id text,
  to_agent_id text,
  text text not null,
  subject text,
  severity text,
  created_at integer not null,
  check ((task_id is null) <> (to_agent_id is null))
) strict;
create index message_task on message (task_id, message_no) where task_id is not null;
create index message_to on message (to_agent_id, message_no) where to_agent_id is not null;
create index message_age on message (created_at);

create table message_read (
  message_no integer not null,
  agent_id text not null,
  read_at integer not null,
  primary key (message_no, agent_id)
) strict, without rowid;

create table idempotency (
  key text primary key,
  call text not null,
  input_hash text not null,
  plan text,
  answer text,
  created_at integer not null
) strict, without rowid;

create table ticket (
  ticket_no integer primary key autoincrement,
  ticket_id text not null unique,
  filter text not null,
  worktree text not null,
  seen_at integer not null
) strict;
