-- The runtime plane of many projects in one database. Instants are milliseconds of a project's clock; lists and records are JSON text.
--
-- Programs reach it by three functions alone: `read_v1`, `write_v1` and `create_v1`. They run with their owner's rights, so that who
-- may use the schema can do what Lodestar does and no more. A later version of the program adds functions under names of its own and
-- leaves these as they are: programs of both versions work side by side.

-- One row a project: the clock (L5) and the counters, which only grow. A step locks it first, so the steps of a project come one
-- after another, and no reader sees event 11 before 10 is settled (counterexample 23). It is written by every step: room for that.
create table lodestar.project (
  project_id text primary key,
  runtime_id text not null,
  -- 'caller': the clock that a caller tells counts. No program sets this; tests do, to move time.
  clock text not null default 'server' check (clock in ('server', 'caller')),
  clock_offset bigint not null default 0,
  last_now bigint not null,
  last_token bigint not null,
  last_seq bigint not null,
  last_version bigint not null default 0,
  last_outbox bigint not null default 0,
  last_message bigint not null,
  last_ticket bigint not null default 0,
  pruned_at bigint not null,
  -- Events up to this seq are gone.
  pruned_seq bigint not null,
  -- Null: as long as the program says.
  keep_events bigint,
  keep_messages bigint,
  -- Changes with every step but those that need not last.
  writes bigint not null default 0,
  calls_pruned_at bigint not null default 0,
  -- Until then somebody wants to be told of changes.
  listened_until bigint not null default 0,
  -- Which repository the runtime is for (JSON), and where it went on: with `moved_to` it takes no more writes.
  home text,
  moved_to text
) with (fillfactor = 20);

-- Every grant there was; `ended` says how it came to its end, null while nobody has seen that.
create table lodestar.lease (
  project_id text not null references lodestar.project,
  fencing_token bigint not null,
  task_id text not null,
  created_at text not null,
  lease_id text not null,
  kind text not null check (kind in ('work', 'review')),
  agent_id text not null,
  session text not null,
  reopens text not null,
  locks text not null,
  granted_at bigint not null,
  expires_at bigint not null,
  ttl bigint not null,
  ended text check (ended in ('expired', 'released', 'reverted', 'done', 'verified', 'reopened', 'deleted', 'forced', 'left')),
  ended_at bigint,
  primary key (project_id, fencing_token),
  unique (lease_id, project_id)
) with (fillfactor = 80);
-- L1: at most one lease of a task is not ended. A grant that would make two is refused by this index.
create unique index lease_open on lodestar.lease (project_id, task_id, created_at) where ended is null;
-- The project comes after what tells more: on a table of which the server has no statistics yet, every index that began with it would
-- seem as good for one lease as that of its task or token.
create index lease_agent on lodestar.lease (agent_id, project_id, fencing_token);
create index lease_task on lodestar.lease (task_id, created_at, project_id, fencing_token);

create table lodestar.outcome (
  project_id text not null references lodestar.project,
  task_id text not null,
  created_at text not null,
  version bigint not null,
  reopens text not null,
  rank integer not null,
  verified boolean not null,
  completed_by text,
  completed_at bigint,
  verified_by text,
  verified_at bigint,
  completed_in text,
  unblocked text,
  worktree text not null,
  branch text not null,
  at bigint not null,
  primary key (project_id, task_id, created_at),
  unique (project_id, version)
);

-- Which spec still has to learn of a change (T2): a copy of the outcome that this very change recorded.
create table lodestar.outbox (
  project_id text not null references lodestar.project,
  outbox_id bigint not null,
  target_worktree text not null,
  target_branch text not null,
  change text not null,
  task_id text not null,
  created_at text not null,
  version bigint not null,
  reopens text not null,
  rank integer not null,
  verified boolean not null,
  completed_by text,
  completed_at bigint,
  verified_by text,
  verified_at bigint,
  completed_in text,
  unblocked text,
  worktree text not null,
  branch text not null,
  at bigint not null,
  primary key (project_id, outbox_id)
);

create table lodestar.agent (
  project_id text not null references lodestar.project,
  agent_id text not null,
  display_name text,
  role text,
  capabilities text not null,
  session_meta text not null,
  registered_at bigint not null,
  last_seen_at bigint not null,
  left_at bigint,
  worktree text not null,
  session text not null,
  primary key (project_id, agent_id)
);

create table lodestar.event (
  project_id text not null references lodestar.project,
  seq bigint not null,
  created_at bigint not null,
  type text not null,
  agent_id text,
  task_id text,
  data text,
  primary key (project_id, seq)
);
create index event_task on lodestar.event (project_id, task_id, seq) where task_id is not null;

create table lodestar.message (
  project_id text not null references lodestar.project,
  message_no bigint not null,
  message_id text not null,
  from_agent_id text,
  task_id text,
  to_agent_id text,
  text text not null,
  subject text,
  severity text,
  created_at bigint not null,
  -- Text and subject as search compares them: lower case, no accents. The caller makes it.
  folded text not null,
  primary key (project_id, message_no),
  unique (project_id, message_id),
  check ((task_id is null) <> (to_agent_id is null))
);
create index message_task on lodestar.message (project_id, task_id, message_no) where task_id is not null;
create index message_to on lodestar.message (project_id, to_agent_id, message_no) where to_agent_id is not null;
create index message_age on lodestar.message (project_id, created_at);

create table lodestar.message_read (
  project_id text not null,
  message_no bigint not null,
  agent_id text not null,
  read_at bigint not null,
  primary key (project_id, message_no, agent_id),
  foreign key (project_id, message_no) references lodestar.message on delete cascade
);

create table lodestar.idempotency (
  project_id text not null references lodestar.project,
  key text not null,
  call text not null,
  input_hash text not null,
  plan text,
  answer text,
  created_at bigint not null,
  primary key (project_id, key)
);

create table lodestar.ticket (
  project_id text not null references lodestar.project,
  ticket_no bigint not null,
  ticket_id text not null,
  filter text not null,
  worktree text not null,
  seen_at bigint not null,
  primary key (project_id, ticket_no),
  unique (project_id, ticket_id)
);

-- The answers of the last minutes' steps: a connection may be cut between commit and answer, and the caller, which cannot know whether
-- its step was taken, sends the same call again (L4).
create table lodestar.call (
  project_id text not null references lodestar.project,
  call_id text not null,
  answer text,
  at bigint not null,
  primary key (project_id, call_id)
);
create index call_age on lodestar.call (project_id, at);

-- Rows as callers know them ---------------------------------------------------------------------------------------------------
--
-- A function in SQL whose body is an expression becomes part of the statement that calls it, if it is declared no stricter than what
-- it calls: making JSON is "stable". Any other is parsed and planned anew by each statement, which takes longer than most of what is
-- asked here; so what a claim or a release calls and asks tables is in PL/pgSQL, which plans once a session.

create function lodestar.lease_json_v1(l lodestar.lease) returns json language sql stable as $$
  select json_strip_nulls(json_build_object(
    'fencing_token', l.fencing_token, 'task_id', l.task_id, 'created_at', l.created_at, 'lease_id', l.lease_id, 'kind', l.kind,
    'agent_id', l.agent_id, 'session', l.session, 'granted_at', l.granted_at, 'expires_at', l.expires_at, 'ttl', l.ttl,
    'ended', nullif(l.ended, 'expired'), 'reopens', l.reopens::json, 'locks', l.locks::json))
$$;

create function lodestar.outcome_json_v1(o lodestar.outcome) returns json language sql stable as $$
  select json_strip_nulls(json_build_object(
    'task_id', o.task_id, 'created_at', o.created_at, 'version', o.version, 'rank', o.rank, 'completed_by', o.completed_by,
    'completed_at', o.completed_at, 'verified_by', o.verified_by, 'verified_at', o.verified_at, 'worktree', o.worktree,
    'branch', o.branch, 'at', o.at, 'reopens', o.reopens::json, 'verified', o.verified, 'completed_in', o.completed_in::json,
    'unblocked', o.unblocked::json))
$$;

create function lodestar.agent_json_v1(a lodestar.agent) returns json language sql stable as $$
  select json_strip_nulls(json_build_object(
    'agent_id', a.agent_id, 'display_name', a.display_name, 'role', a.role, 'registered_at', a.registered_at,
    'last_seen_at', a.last_seen_at, 'left_at', a.left_at, 'worktree', a.worktree, 'capabilities', a.capabilities::json,
    'session_meta', a.session_meta::json))
$$;

create function lodestar.message_json_v1(m lodestar.message) returns json language sql stable as $$
  select json_strip_nulls(json_build_object(
    'message_id', m.message_id, 'from_agent_id', m.from_agent_id, 'task_id', m.task_id, 'to_agent_id', m.to_agent_id,
    'text', m.text, 'subject', m.subject, 'severity', m.severity, 'created_at', m.created_at))
$$;

-- What a judgement about a task's leases rests on: its grants, its outcome, and a stamp by which the step that carries the verdict
-- sees that nothing of it has changed. Whether the newest grant is live is part of the stamp: time changes that, too.
create function lodestar.scene_v1(in_project text, in_task text, in_created text, in_now bigint) returns json
language plpgsql stable as $$
begin
  return json_build_object(
    'task_id', in_task, 'created_at', in_created, 'now', in_now,
    'grants', coalesce((select json_agg(lodestar.lease_json_v1(l) order by l.fencing_token)
      from lodestar.lease l where l.project_id = in_project and l.task_id = in_task and l.created_at = in_created), '[]'::json),
    'outcome', (select lodestar.outcome_json_v1(o)
      from lodestar.outcome o where o.project_id = in_project and o.task_id = in_task and o.created_at = in_created),
    'stamp', lodestar.stamp_v1(in_project, in_task, in_created, in_now));
end $$;

create function lodestar.stamp_v1(in_project text, in_task text, in_created text, in_now bigint) returns text
language plpgsql stable as $$
begin
  return md5(
    coalesce((
      select string_agg(l.fencing_token || ' ' || l.expires_at || ' ' || coalesce(nullif(l.ended, 'expired'), (l.expires_at > in_now)::text),
        ',' order by l.fencing_token)
      from lodestar.lease l where l.project_id = in_project and l.task_id = in_task and l.created_at = in_created), '')
    || '|' || coalesce((
      select o.version
      from lodestar.outcome o where o.project_id = in_project and o.task_id = in_task and o.created_at = in_created), 0));
end $$;

-- Steps' small parts ------------------------------------------------------------------------------------------------------------

-- Refuses a program that a later migration has left behind. `in_call` says which migrations the program knows.
create function lodestar.check_v1(in_call json) returns void language plpgsql stable as $$
declare v_needed integer := (select max(works_with) from lodestar.migration);
begin
  if v_needed > (in_call->>'knows')::integer then
    raise exception 'needs %', v_needed using errcode = 'LD426';
  end if;
end $$;

create function lodestar.wall_v1(p lodestar.project, in_caller bigint) returns bigint language sql volatile as $$
  select case p.clock when 'caller' then in_caller else floor(extract(epoch from clock_timestamp()) * 1000)::bigint end
$$;

create function lodestar.event_v1(in_project text, in_type text, in_agent text, in_task text, in_data json) returns void
language plpgsql as $$
declare v_seq bigint; v_now bigint;
begin
  update lodestar.project set last_seq = greatest(last_seq + 1, last_now) where project_id = in_project
  returning last_seq, last_now into v_seq, v_now;
  insert into lodestar.event (project_id, seq, created_at, type, agent_id, task_id, data)
  values (in_project, v_seq, v_now, in_type, in_agent, in_task, in_data::text);
end $$;

create function lodestar.events_v1(in_project text, in_events json) returns void language plpgsql as $$
declare e json;
begin
  for e in select value from json_array_elements(in_events) loop
    perform lodestar.event_v1(in_project, e->>'type', e->>'agent_id', e->>'task_id', e->'data');
  end loop;
end $$;

create function lodestar.is_known_v1(in_project text, in_agent text) returns boolean language plpgsql stable as $$
begin
  return exists (select from lodestar.agent where project_id = in_project and agent_id = in_agent and left_at is null);
end $$;

-- An agent's write is a sign of life, noted at most every 30 s.
create function lodestar.touch_v1(in_project text, in_agent text, in_now bigint) returns void language plpgsql as $$
begin
  update lodestar.agent set last_seen_at = in_now
  where project_id = in_project and agent_id = in_agent and left_at is null and last_seen_at <= in_now - 30000;
end $$;

-- The answer kept under the caller's key; null when there is none.
create function lodestar.kept_v1(in_project text, in_call text, in_idempotency json) returns text language plpgsql stable as $$
begin
  if in_idempotency->>'key' is null then return null; end if;
  return (select case
    when i.call = in_call and i.input_hash = in_idempotency->>'input_hash' and i.answer is not null then i.answer
    else '{"kind":"mismatch"}' end
  from lodestar.idempotency i where i.project_id = in_project and i.key = in_idempotency->>'key');
end $$;

create function lodestar.keep_v1(in_project text, in_call text, in_idempotency json, in_answer json, in_now bigint) returns void
language plpgsql as $$
begin
  if in_idempotency->>'key' is null then return; end if;
  insert into lodestar.idempotency (project_id, key, call, input_hash, plan, answer, created_at)
  values (in_project, in_idempotency->>'key', in_call, in_idempotency->>'input_hash', null, in_answer::text, in_now);
end $$;

-- Appends a message; one with this id that is there already stays as it is.
create function lodestar.post_v1(in_project text, m json, in_now bigint) returns json language plpgsql as $$
declare v_no bigint; v_row lodestar.message;
begin
  select * into v_row from lodestar.message where project_id = in_project and message_id = m->>'message_id';
  if found then return lodestar.message_json_v1(v_row); end if;
  update lodestar.project set last_message = last_message + 1 where project_id = in_project returning last_message into v_no;
  insert into lodestar.message
    (project_id, message_no, message_id, from_agent_id, task_id, to_agent_id, text, subject, severity, created_at, folded)
  values (in_project, v_no, m->>'message_id', m->>'from_agent_id', m->>'task_id', m->>'to_agent_id', m->>'text', m->>'subject',
    m->>'severity', in_now, m->>'folded')
  returning * into v_row;
  perform lodestar.touch_v1(in_project, m->>'from_agent_id', in_now);
  perform lodestar.event_v1(in_project, 'message.sent', m->>'from_agent_id', m->>'task_id',
    json_strip_nulls(json_build_object('message_id', m->>'message_id', 'to_agent_id', m->>'to_agent_id')));
  return lodestar.message_json_v1(v_row);
end $$;

-- A reader's own messages are never unread.
create function lodestar.is_unread_v1(m lodestar.message, in_reader text) returns boolean language plpgsql stable as $$
begin
  return (m.from_agent_id is null or m.from_agent_id <> in_reader) and not exists (
    select from lodestar.message_read r
    where r.project_id = m.project_id and r.message_no = m.message_no and r.agent_id = in_reader);
end $$;

-- Messages to the agent, and the threads of tasks that it holds.
create function lodestar.is_mine_v1(m lodestar.message, in_agent text, in_now bigint) returns boolean language sql stable as $$
  select m.to_agent_id = in_agent or m.task_id in (
    select l.task_id from lodestar.lease l
    where l.project_id = m.project_id and l.agent_id = in_agent and l.ended is null and l.expires_at > in_now) is true
$$;

-- Hands the newest unread messages of a thread to an agent, up to so many characters, and marks those as read.
create function lodestar.hand_over_v1(in_project text, in_task text, in_reader text, in_chars bigint, in_now bigint) returns json
language plpgsql as $$
declare m lodestar.message; v_left bigint := in_chars; v_handed json[] := '{}'; v_nos bigint[] := '{}'; v_any boolean := false;
  v_unread bigint;
begin
  for m in select * from lodestar.message x
    where x.project_id = in_project and x.task_id = in_task and lodestar.is_unread_v1(x, in_reader)
    order by x.message_no desc limit 50
  loop
    v_any := true;
    v_left := v_left - length(m.text) - coalesce(length(m.subject), 0);
    exit when v_left < 0;
    v_handed := array_prepend(lodestar.message_json_v1(m), v_handed);
    v_nos := v_nos || m.message_no;
  end loop;
  if not v_any then return null; end if;
  select count(*) into v_unread from lodestar.message x
  where x.project_id = in_project and x.task_id = in_task and lodestar.is_unread_v1(x, in_reader);
  insert into lodestar.message_read (project_id, message_no, agent_id, read_at)
  select in_project, no, in_reader, in_now from unnest(v_nos) no on conflict do nothing;
  return json_build_object('unread', v_unread, 'messages', to_json(v_handed));
end $$;

-- True when one of these tasks got an outcome after the look that a decision rests on (L9, counterexamples 18 and 20).
create function lodestar.is_stale_v1(p lodestar.project, in_seen numeric, in_key json, in_basis json) returns boolean
language plpgsql stable as $$
begin
  if p.last_version <= in_seen then return false; end if;
  return exists (
    select from lodestar.outcome o
    where o.project_id = p.project_id and o.version > in_seen and (o.task_id, o.created_at) in (
      select in_key->>'task_id', in_key->>'created_at'
      union all select b->>'task_id', b->>'created_at' from json_array_elements(in_basis) b));
end $$;

-- Grants the task, with its event. The index lease_open stands behind it: two leases of one task cannot both be open (L1).
create function lodestar.grant_v1(in_project text, r json, c json, in_lease_id text, in_now bigint) returns lodestar.lease
language plpgsql as $$
declare v_token bigint; l lodestar.lease;
begin
  update lodestar.project set last_token = greatest(last_token + 1, last_now) where project_id = in_project
  returning last_token into v_token;
  insert into lodestar.lease (project_id, fencing_token, task_id, created_at, lease_id, kind, agent_id, session, reopens, locks,
    granted_at, expires_at, ttl)
  values (in_project, v_token, c->'key'->>'task_id', c->'key'->>'created_at', in_lease_id, r->>'kind', r->>'agent_id', r->>'session',
    (c->'reopens')::text, (c->'locks')::text, in_now, in_now + (r->>'ttl')::bigint, (r->>'ttl')::bigint)
  returning * into l;
  perform lodestar.event_v1(in_project, 'task.claimed', l.agent_id, l.task_id, json_build_object(
    'fencing_token', l.fencing_token, 'lease_id', l.lease_id, 'kind', l.kind, 'expires_at', l.expires_at));
  return l;
end $$;

-- Which live leases of others overlap the path locks of one candidate or lease, as the caller worked it out.
create function lodestar.conflicts_v1(in_project text, r json, in_mine text, in_task text) returns json language plpgsql stable as $$
begin
  if json_array_length(r->'overlaps') = 0 then return '[]'; end if;
  return (select coalesce(json_agg(json_build_object('task_id', in_task, 'held_task_id', l.task_id, 'agent_id', l.agent_id,
    'expires_at', l.expires_at, 'pattern', o->>'pattern', 'other_pattern', o->>'other_pattern') order by l.fencing_token), '[]'::json)
  from json_array_elements(r->'overlaps') o
  join lodestar.lease l on l.project_id = in_project and l.fencing_token = (o->>'token')::bigint
  where o->>'mine' = in_mine and l.ended is null and l.agent_id <> r->>'agent_id');
end $$;

create function lodestar.is_first_v1(in_project text, t json, in_now bigint) returns boolean language plpgsql stable as $$
begin
  return not exists (
    select from lodestar.ticket e
    where e.project_id = in_project and e.filter = t->>'filter' and e.worktree = t->>'worktree' and e.ticket_id <> t->>'ticket_id'
      and e.seen_at > in_now - 3000
      and e.ticket_no < coalesce((select x.ticket_no from lodestar.ticket x
        where x.project_id = in_project and x.ticket_id = t->>'ticket_id'), 9007199254740991));
end $$;

-- Steps ---------------------------------------------------------------------------------------------------------------------------

create function lodestar.grant_json_v1(in_project text, r json, in_mine text, l lodestar.lease, in_already boolean, in_now bigint)
returns json language plpgsql as $$
begin
  return json_strip_nulls(json_build_object('lease', lodestar.lease_json_v1(l), 'already', in_already,
    'conflicts', lodestar.conflicts_v1(in_project, r, in_mine, l.task_id),
    'handoff', lodestar.hand_over_v1(in_project, l.task_id, r->>'agent_id', (r->>'handoff_chars')::bigint, in_now)));
end $$;

-- Claiming what one holds renews it; a retry never makes a lease shorter (L4, L5).
create function lodestar.extend_mine_v1(in_project text, r json, in_token bigint, in_now bigint) returns json language plpgsql as $$
declare l lodestar.lease;
begin
  update lodestar.lease set expires_at = greatest(expires_at, in_now + (r->>'ttl')::bigint), ttl = (r->>'ttl')::bigint
  where project_id = in_project and fencing_token = in_token returning * into l;
  return lodestar.grant_json_v1(in_project, r, 't' || in_token, l, true, in_now);
end $$;

create function lodestar.claim_now_v1(p lodestar.project, r json, in_now bigint) returns json language plpgsql as $$
declare
  v_id text := p.project_id;
  v_me text := r->>'agent_id';
  c record; l lodestar.lease; v_used integer := 0; v_stale boolean := false; v_second record; v_has_second boolean := false;
  v_list json[]; v_grants json[] := '{}'; v_others boolean;
begin
  -- Whether globs overlap is worked out by the caller. It cannot have done so for leases that it does not know of yet.
  select exists (select from lodestar.lease x where x.project_id = v_id and x.ended is null and x.locks <> '[]' and x.agent_id <> v_me)
  into v_others;
  if v_others and (
    (r->>'has_locks')::boolean
    or exists (select from lodestar.lease x where x.project_id = v_id and x.ended is null and x.locks <> '[]' and x.agent_id = v_me)
  ) and exists (
    select from lodestar.lease x where x.project_id = v_id and x.ended is null and x.locks <> '[]'
      and x.fencing_token not in (select value::bigint from json_array_elements_text(r->'judged'))
  ) then
    return json_build_object('kind', 'judge', 'leases', (
      select json_agg(lodestar.lease_json_v1(x) order by x.fencing_token) from lodestar.lease x
      where x.project_id = v_id and x.ended is null and x.locks <> '[]'));
  end if;

  if (r->>'resume')::boolean then
    select * into l from lodestar.lease x
    where x.project_id = v_id and x.ended is null and x.agent_id = v_me and x.session = r->>'session' and x.kind = r->>'kind'
    order by x.fencing_token desc limit 1;
    if found then
      return json_build_object('kind', 'granted', 'grants', json_build_array(lodestar.extend_mine_v1(v_id, r, l.fencing_token, in_now)));
    end if;
  end if;
  if r->>'ticket' is not null and not lodestar.is_first_v1(v_id, r->'ticket', in_now) then
    return json_build_object('kind', 'queued');
  end if;

  if r->>'take' = 'first' then
    for c in select value as it, ordinality - 1 as i from json_array_elements(r->'candidates') with ordinality order by ordinality loop
      continue when exists (select from lodestar.lease x where x.project_id = v_id and x.ended is null
        and x.task_id = c.it->'key'->>'task_id' and x.created_at = c.it->'key'->>'created_at');
      if lodestar.is_stale_v1(p, (r->>'seen')::numeric, c.it->'key', c.it->'basis') then
        v_stale := true;
        continue;
      end if;
      if v_others and c.i >= (r->>'judged_candidates')::integer then
        return json_build_object('kind', 'judge', 'all', true, 'leases', (
          select json_agg(lodestar.lease_json_v1(x) order by x.fencing_token) from lodestar.lease x
          where x.project_id = v_id and x.ended is null and x.locks <> '[]'));
      end if;
      if json_array_length(lodestar.conflicts_v1(v_id, r, 'c' || c.i, '')) > 0 then
        if not v_has_second then
          v_second := c;
          v_has_second := true;
        end if;
        continue;
      end if;
      l := lodestar.grant_v1(v_id, r, c.it, r->'lease_ids'->>0, in_now);
      return json_build_object('kind', 'granted', 'grants', json_build_array(
        lodestar.grant_json_v1(v_id, r, 'c' || c.i, l, false, in_now)));
    end loop;
    -- Those whose locks overlap another's come last, and under `enforce` never (T4).
    if not v_has_second or (r->>'locks' = 'enforce' and not (r->>'force')::boolean) then
      return json_build_object('kind', 'none', 'stale', v_stale);
    end if;
    l := lodestar.grant_v1(v_id, r, v_second.it, r->'lease_ids'->>0, in_now);
    return json_build_object('kind', 'granted', 'grants', json_build_array(
      lodestar.grant_json_v1(v_id, r, 'c' || v_second.i, l, false, in_now)));
  end if;

  -- All or none: every candidate is judged before one is granted.
  select array_agg(lodestar.lease_json_v1(x) order by o.ordinality) into v_list
  from json_array_elements(r->'candidates') with ordinality o
  join lodestar.lease x on x.project_id = v_id and x.ended is null
    and x.task_id = o.value->'key'->>'task_id' and x.created_at = o.value->'key'->>'created_at'
  where not (x.agent_id = v_me and x.session = r->>'session' and x.kind = r->>'kind');
  if v_list is not null then
    return json_build_object('kind', 'held', 'leases', to_json(v_list));
  end if;
  for c in select o.value as it, o.ordinality - 1 as i, x.fencing_token as token
    from json_array_elements(r->'candidates') with ordinality o
    left join lodestar.lease x on x.project_id = v_id and x.ended is null
      and x.task_id = o.value->'key'->>'task_id' and x.created_at = o.value->'key'->>'created_at'
    order by o.ordinality
  loop
    continue when c.token is not null;
    if lodestar.is_stale_v1(p, (r->>'seen')::numeric, c.it->'key', c.it->'basis') then
      v_list := v_list || to_json(c.it->'key'->>'task_id');
    end if;
    select v_grants || coalesce(array_agg(value), '{}') into v_grants
    from json_array_elements(lodestar.conflicts_v1(v_id, r, 'c' || c.i, c.it->'key'->>'task_id'));
  end loop;
  if v_list is not null then
    return json_build_object('kind', 'stale', 'task_ids', to_json(v_list));
  end if;
  if v_others and (r->>'judged_candidates')::integer < json_array_length(r->'candidates') then
    return json_build_object('kind', 'judge', 'all', true, 'leases', (
      select json_agg(lodestar.lease_json_v1(x) order by x.fencing_token) from lodestar.lease x
      where x.project_id = v_id and x.ended is null and x.locks <> '[]'));
  end if;
  if cardinality(v_grants) > 0 and r->>'locks' = 'enforce' and not (r->>'force')::boolean then
    return json_build_object('kind', 'conflict', 'conflicts', to_json(v_grants));
  end if;
  v_grants := '{}';
  for c in select value as it, ordinality - 1 as i from json_array_elements(r->'candidates') with ordinality order by ordinality loop
    select * into l from lodestar.lease x where x.project_id = v_id and x.ended is null
      and x.task_id = c.it->'key'->>'task_id' and x.created_at = c.it->'key'->>'created_at';
    if found then
      v_grants := v_grants || lodestar.extend_mine_v1(v_id, r, l.fencing_token, in_now);
    else
      l := lodestar.grant_v1(v_id, r, c.it, r->'lease_ids'->>v_used, in_now);
      v_used := v_used + 1;
      v_grants := v_grants || lodestar.grant_json_v1(v_id, r, 'c' || c.i, l, false, in_now);
    end if;
  end loop;
  return json_build_object('kind', 'granted', 'grants', to_json(v_grants));
end $$;

create function lodestar.claim_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare v_answer json; v_kept text;
begin
  if not lodestar.is_known_v1(p.project_id, r->>'agent_id') then return '{"kind":"unknown_agent"}'; end if;
  v_kept := lodestar.kept_v1(p.project_id, 'claim', r->'idempotency');
  if v_kept is not null then return v_kept; end if;
  v_answer := lodestar.claim_now_v1(p, r, in_now);
  if v_answer->>'kind' = 'granted' then
    perform lodestar.touch_v1(p.project_id, r->>'agent_id', in_now);
    if r->>'ticket' is not null then
      delete from lodestar.ticket where project_id = p.project_id and ticket_id = r->'ticket'->>'ticket_id';
    end if;
    perform lodestar.keep_v1(p.project_id, 'claim', r->'idempotency', v_answer, in_now);
  end if;
  return v_answer::text;
end $$;

-- The caller judges by rules that every store shares, and sends the verdict with the stamps of what it looked at. Where one is no
-- longer right (or none was sent), the step changes nothing and answers what there is to look at.
create function lodestar.look_again_v1(in_project text, in_looks json, in_now bigint) returns json language plpgsql as $$
declare k json; s text; v_fresh boolean := true;
begin
  for k in select value from json_array_elements(in_looks) loop
    s := lodestar.stamp_v1(in_project, k->>'task_id', k->>'created_at', in_now);
    if k->>'stamp' is distinct from s then v_fresh := false; end if;
  end loop;
  if v_fresh then return null; end if;
  return json_build_object('kind', 'scenes', 'scenes', (
    select coalesce(json_agg(lodestar.scene_v1(in_project, x.value->>'task_id', x.value->>'created_at', in_now) order by x.ordinality), '[]'::json)
    from json_array_elements(in_looks) with ordinality x));
end $$;

-- Renew and release.
create function lodestar.hold_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare
  v_id text := p.project_id; v jsonb; l lodestar.lease; v_answer json; v_kept text; v_again json; v_extends boolean;
begin
  if r->>'agent_id' is not null and not lodestar.is_known_v1(v_id, r->>'agent_id') then return '{"kind":"unknown_agent"}'; end if;
  v_kept := lodestar.kept_v1(v_id, r->>'call', r->'idempotency');
  if v_kept is not null then return v_kept; end if;
  v_again := lodestar.look_again_v1(v_id, r->'looks', in_now);
  if v_again is not null then return v_again::text; end if;
  v := (r->'verdict')::jsonb;
  if v->>'do' = 'refuse' then return '{"kind":"judged"}'; end if;
  select * into strict l from lodestar.lease where project_id = v_id and fencing_token = (v->>'token')::bigint;
  if v->>'do' = 'extend' then
    perform lodestar.touch_v1(v_id, l.agent_id, in_now);
    if in_now < (v->>'unchanged_before')::bigint then
      return json_build_object('kind', 'unchanged', 'lease', lodestar.lease_json_v1(l))::text;
    end if;
    update lodestar.lease set expires_at = in_now + (v->>'ttl')::bigint, ttl = (v->>'ttl')::bigint, ended = null, ended_at = null
    where project_id = v_id and fencing_token = l.fencing_token returning * into l;
    if (v->>'told')::boolean then
      perform lodestar.event_v1(v_id, 'task.renewed', l.agent_id, l.task_id, json_build_object(
        'fencing_token', l.fencing_token, 'lease_id', l.lease_id, 'expires_at', l.expires_at));
    end if;
    v_answer := json_build_object('kind', 'renewed', 'lease', lodestar.lease_json_v1(l));
  else
    if v->>'do' = 'end' then
      update lodestar.lease set ended = v->>'ended', ended_at = in_now
      where project_id = v_id and fencing_token = l.fencing_token returning * into l;
      if v->>'ended' = 'reverted' then
        -- Under the key of a claim that was stepped back the next try is a first one.
        delete from lodestar.idempotency where project_id = v_id and call = 'claim'
          and position(to_json(l.lease_id)::text in answer) > 0;
      end if;
      perform lodestar.touch_v1(v_id, v->>'actor', in_now);
      perform lodestar.events_v1(v_id, r->'verdict'->'events');
      if jsonb_typeof(v->'note') = 'object' then perform lodestar.post_v1(v_id, r->'verdict'->'note', in_now); end if;
    end if;
    v_answer := json_build_object('kind', 'released', 'lease', lodestar.lease_json_v1(l), 'already', (v->>'already')::boolean);
  end if;
  perform lodestar.keep_v1(v_id, r->>'call', r->'idempotency', v_answer, in_now);
  return v_answer::text;
end $$;

-- -1 stands for the time of the step.
create function lodestar.at_v1(in_at text, in_now bigint) returns bigint language sql immutable as $$
  select case in_at when '-1' then in_now else in_at::bigint end
$$;

create function lodestar.record_v1(in_project text, o json, in_now bigint) returns lodestar.outcome language plpgsql as $$
declare v_version bigint; v_row lodestar.outcome;
begin
  update lodestar.project set last_version = last_version + 1 where project_id = in_project returning last_version into v_version;
  insert into lodestar.outcome (project_id, task_id, created_at, version, reopens, rank, verified, completed_by, completed_at,
    verified_by, verified_at, completed_in, unblocked, worktree, branch, at)
  values (in_project, o->>'task_id', o->>'created_at', v_version, (o->'reopens')::text, (o->>'rank')::integer,
    (o->>'verified')::boolean, o->>'completed_by', lodestar.at_v1(o->>'completed_at', in_now), o->>'verified_by',
    lodestar.at_v1(o->>'verified_at', in_now), (o->'completed_in')::text, (o->'unblocked')::text, o->>'worktree', o->>'branch',
    lodestar.at_v1(o->>'at', in_now))
  on conflict (project_id, task_id, created_at) do update set
    version = excluded.version, reopens = excluded.reopens, rank = excluded.rank, verified = excluded.verified,
    completed_by = excluded.completed_by, completed_at = excluded.completed_at, verified_by = excluded.verified_by,
    verified_at = excluded.verified_at, completed_in = excluded.completed_in, unblocked = excluded.unblocked,
    worktree = excluded.worktree, branch = excluded.branch, at = excluded.at
  returning * into v_row;
  return v_row;
end $$;

create function lodestar.enqueue_v1(in_project text, in_change text, o lodestar.outcome, in_worktree text, in_branch text)
returns bigint language plpgsql as $$
declare v_no bigint;
begin
  update lodestar.project set last_outbox = last_outbox + 1 where project_id = in_project returning last_outbox into v_no;
  insert into lodestar.outbox (project_id, outbox_id, target_worktree, target_branch, change, task_id, created_at, version, reopens,
    rank, verified, completed_by, completed_at, verified_by, verified_at, completed_in, unblocked, worktree, branch, at)
  values (in_project, v_no, in_worktree, in_branch, in_change, o.task_id, o.created_at, o.version, o.reopens, o.rank, o.verified,
    o.completed_by, o.completed_at, o.verified_by, o.verified_at, o.completed_in, o.unblocked, o.worktree, o.branch, o.at);
  return v_no;
end $$;

create function lodestar.finish_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare
  v_id text := p.project_id; s json; v json; o lodestar.outcome; v_list json[] := '{}'; v_stale json[]; v_kept text; v_again json;
  v_answer json; v_outcome json;
begin
  if r->>'agent_id' is not null and not lodestar.is_known_v1(v_id, r->>'agent_id') then return '{"kind":"unknown_agent"}'; end if;
  v_kept := lodestar.kept_v1(v_id, 'finish', r->'idempotency');
  if v_kept is not null then return v_kept; end if;
  v_again := lodestar.look_again_v1(v_id, r->'looks', in_now);
  if v_again is not null then return v_again::text; end if;
  for s in select value from json_array_elements(r->'fresh') loop
    if lodestar.is_stale_v1(p, (r->>'seen')::numeric, s->'key', s->'basis') then
      v_stale := v_stale || to_json(s->'key'->>'task_id');
    end if;
  end loop;
  if v_stale is not null then return json_build_object('kind', 'stale', 'task_ids', to_json(v_stale))::text; end if;
  if (r->>'refused')::boolean then return '{"kind":"judged"}'; end if;

  for v in select value from json_array_elements(r->'verdicts') loop
    if v->>'do' = 'already' then
      select * into o from lodestar.outcome x
      where x.project_id = v_id and x.task_id = v->'key'->>'task_id' and x.created_at = v->'key'->>'created_at';
      v_outcome := case when found then lodestar.outcome_json_v1(o)
        else (((v->'standing')::jsonb || jsonb_build_object('at', in_now))::json) end;
      v_list := v_list || json_build_object('key', v->'key', 'already', true, 'outcome', v_outcome);
      continue;
    end if;
    o := lodestar.record_v1(v_id, v->'outcome', in_now);
    if v->>'ends' is not null then
      update lodestar.lease set ended = v->>'ended', ended_at = in_now
      where project_id = v_id and fencing_token = (v->>'ends')::bigint;
    end if;
    perform lodestar.events_v1(v_id, v->'events');
    if json_typeof(v->'note') = 'object' then perform lodestar.post_v1(v_id, v->'note', in_now); end if;
    perform lodestar.touch_v1(v_id, v->>'actor', in_now);
    v_list := v_list || json_build_object('key', v->'key', 'already', false, 'outcome', lodestar.outcome_json_v1(o),
      'outbox_id', lodestar.enqueue_v1(v_id, v->>'change', o, o.worktree, o.branch));
  end loop;
  perform lodestar.touch_v1(v_id, r->>'agent_id', in_now);
  v_answer := json_build_object('kind', 'finished', 'finished', to_json(v_list));
  perform lodestar.keep_v1(v_id, 'finish', r->'idempotency', v_answer, in_now);
  return v_answer::text;
end $$;

create function lodestar.join_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare v_id text := p.project_id; v_kept text; a lodestar.agent; v_resumed boolean; v_answer json;
begin
  v_kept := lodestar.kept_v1(v_id, 'join', r->'idempotency');
  if v_kept is not null then return v_kept; end if;
  v_resumed := exists (select from lodestar.agent where project_id = v_id and agent_id = r->>'agent_id');
  insert into lodestar.agent (project_id, agent_id, display_name, role, capabilities, session_meta, registered_at, last_seen_at,
    worktree, session)
  values (v_id, r->>'agent_id', r->>'display_name', r->>'role', coalesce((r->'capabilities')::text, '[]'),
    coalesce((r->'session_meta')::text, '{}'), in_now, in_now, r->>'worktree', r->>'session')
  on conflict (project_id, agent_id) do update set
    display_name = coalesce(excluded.display_name, agent.display_name), role = coalesce(excluded.role, agent.role),
    capabilities = coalesce((r->'capabilities')::text, agent.capabilities),
    session_meta = coalesce((r->'session_meta')::text, agent.session_meta),
    last_seen_at = in_now, left_at = null, worktree = excluded.worktree, session = excluded.session
  returning * into a;
  perform lodestar.event_v1(v_id, 'agent.joined', a.agent_id, null, json_strip_nulls(json_build_object(
    'resumed', case when v_resumed then true end, 'worktree', a.worktree)));
  v_answer := lodestar.agent_json_v1(a);
  perform lodestar.keep_v1(v_id, 'join', r->'idempotency', v_answer, in_now);
  return v_answer::text;
end $$;

create function lodestar.heartbeat_v1(p lodestar.project, r json, in_now bigint) returns text language sql as $$
  update lodestar.agent a set last_seen_at = in_now
  where a.project_id = p.project_id and a.agent_id = r->>'agent_id' and a.left_at is null
  returning lodestar.agent_json_v1(a)::text
$$;

create function lodestar.leave_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare v_id text := p.project_id; v_kept text; a lodestar.agent; l lodestar.lease; v_released json[] := '{}'; v_answer json;
begin
  v_kept := lodestar.kept_v1(v_id, 'leave', r->'idempotency');
  if v_kept is not null then return v_kept; end if;
  select * into a from lodestar.agent where project_id = v_id and agent_id = r->>'agent_id';
  if not found then return null; end if;
  if a.left_at is null then
    for l in select * from lodestar.lease x where x.project_id = v_id and x.agent_id = a.agent_id and x.ended is null
      order by x.fencing_token desc
    loop
      update lodestar.lease set ended = 'left', ended_at = in_now where project_id = v_id and fencing_token = l.fencing_token;
      perform lodestar.event_v1(v_id, 'task.released', l.agent_id, l.task_id, json_build_object(
        'fencing_token', l.fencing_token, 'lease_id', l.lease_id, 'left', true));
      v_released := v_released || json_build_object('task_id', l.task_id, 'created_at', l.created_at);
    end loop;
    update lodestar.agent set left_at = in_now, last_seen_at = in_now where project_id = v_id and agent_id = a.agent_id
    returning * into a;
    perform lodestar.event_v1(v_id, 'agent.left', a.agent_id, null, null);
  end if;
  v_answer := json_build_object('agent', lodestar.agent_json_v1(a), 'released', to_json(v_released));
  perform lodestar.keep_v1(v_id, 'leave', r->'idempotency', v_answer, in_now);
  return v_answer::text;
end $$;

create function lodestar.send_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare v_id text := p.project_id; v_kept text; v_agent text; v_answer json;
begin
  v_kept := lodestar.kept_v1(v_id, 'send', r->'idempotency');
  if v_kept is not null then return v_kept; end if;
  foreach v_agent in array array_remove(array[r->>'from_agent_id', r->>'to_agent_id'], null) loop
    if not lodestar.is_known_v1(v_id, v_agent) then
      return json_build_object('kind', 'unknown_agent', 'agent_id', v_agent)::text;
    end if;
  end loop;
  v_answer := json_build_object('kind', 'sent', 'message', lodestar.post_v1(v_id, r, in_now));
  perform lodestar.keep_v1(v_id, 'send', r->'idempotency', v_answer, in_now);
  return v_answer::text;
end $$;

-- A page of messages; filters come before the limit.
create function lodestar.messages_v1(in_project text, q json, in_now bigint) returns json language sql stable as $$
  with passing as (
    select m.* from lodestar.message m
    where m.project_id = in_project
      and (q->>'task_id' is null or m.task_id = q->>'task_id')
      and (q->>'from_agent_id' is null or m.from_agent_id = q->>'from_agent_id')
      and (q->>'since' is null or m.created_at >= (q->>'since')::bigint)
      and (q->>'until' is null or m.created_at <= (q->>'until')::bigint)
      and (q->>'inbox_of' is null or lodestar.is_mine_v1(m, q->>'inbox_of', in_now))
      and (q->>'unread_by' is null or lodestar.is_unread_v1(m, q->>'unread_by'))
      and (q->'words' is null or not exists (
        select from json_array_elements_text(q->'words') word where position(word in m.folded) = 0))
  ), page as (
    select * from passing
    where case q->>'order'
      when 'oldest' then message_no > coalesce((q->>'after')::bigint, 0)
      else message_no < coalesce((q->>'after')::bigint, 9007199254740991) end
    order by case q->>'order' when 'oldest' then message_no else -message_no end
    limit (q->>'limit')::bigint + 1
  ), numbered as (
    select p.*, row_number() over (order by case q->>'order' when 'oldest' then message_no else -message_no end) as place from page p
  ), shown as (
    select n.place, n.message_no, (lodestar.message_json_v1(m)::jsonb || jsonb_build_object('read_by', coalesce((
      select json_agg(r.agent_id order by r.read_at, r.agent_id) from lodestar.message_read r
      where r.project_id = in_project and r.message_no = n.message_no), '[]'::json))) as one
    from numbered n join lodestar.message m on m.project_id = in_project and m.message_no = n.message_no
    where n.place <= (q->>'limit')::bigint
  )
  select json_strip_nulls(json_build_object(
    'messages', coalesce((select json_agg(one order by place) from shown), '[]'::json),
    'count', (select count(*) from passing),
    'more', (select count(*) from page) > (q->>'limit')::bigint,
    'last', (select message_no from shown order by place desc limit 1)))
$$;

create function lodestar.mark_v1(in_project text, in_reader text, r json, in_now bigint) returns json language plpgsql as $$
declare v_marked json;
begin
  perform lodestar.touch_v1(in_project, in_reader, in_now);
  with wanted as (
    select m.message_no, m.message_id, o.ordinality as place
    from json_array_elements_text(case when json_typeof(r->'message_ids') = 'array' then r->'message_ids' else '[]' end)
      with ordinality o
    join lodestar.message m on m.project_id = in_project and m.message_id = o.value
    where r->>'task_id' is null or m.task_id = r->>'task_id'
    union all
    select m.message_no, m.message_id, m.message_no from lodestar.message m
    where r->'message_ids' is null and m.project_id = in_project and m.task_id = r->>'task_id'
      and lodestar.is_unread_v1(m, in_reader)
  ), marked as (
    insert into lodestar.message_read (project_id, message_no, agent_id, read_at)
    select distinct in_project, message_no, in_reader, in_now from wanted
    on conflict do nothing returning message_no
  )
  select json_agg(message_id order by place) into v_marked
  from (select message_id, min(place) as place from wanted join marked using (message_no) group by message_id) once;
  if v_marked is null then return '[]'; end if;
  perform lodestar.event_v1(in_project, 'message.read', in_reader, r->>'task_id', json_build_object('message_ids', v_marked));
  return v_marked;
end $$;

create function lodestar.receive_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare v_kept text; v_page json;
begin
  v_kept := lodestar.kept_v1(p.project_id, 'receive', r->'idempotency');
  if v_kept is not null then return v_kept; end if;
  v_page := lodestar.messages_v1(p.project_id, r->'query', in_now);
  perform lodestar.mark_v1(p.project_id, r->>'reader', json_build_object('message_ids', coalesce((
    select json_agg(m->>'message_id') from json_array_elements(v_page->'messages') m
    where m->>'from_agent_id' is distinct from r->>'reader'), '[]'::json)), in_now);
  perform lodestar.keep_v1(p.project_id, 'receive', r->'idempotency', v_page, in_now);
  return v_page::text;
end $$;

create function lodestar.append_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare e json;
begin
  for e in select value from json_array_elements(r->'events') loop
    perform lodestar.touch_v1(p.project_id, e->>'agent_id', in_now);
    perform lodestar.event_v1(p.project_id, e->>'type', e->>'agent_id', e->>'task_id', e->'data');
  end loop;
  return '{}';
end $$;

create function lodestar.intend_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare i lodestar.idempotency;
begin
  select * into i from lodestar.idempotency where project_id = p.project_id and key = r->>'key';
  if not found then
    insert into lodestar.idempotency (project_id, key, call, input_hash, plan, answer, created_at)
    values (p.project_id, r->>'key', 'command', r->>'input_hash', r->>'plan', null, in_now);
    return '{"kind":"fresh"}';
  end if;
  if i.call <> 'command' or i.input_hash <> r->>'input_hash' then return '{"kind":"mismatch"}'; end if;
  if i.answer is not null then return json_build_object('kind', 'answered', 'answer', i.answer)::text; end if;
  return json_build_object('kind', 'planned', 'plan', coalesce(i.plan, 'null'))::text;
end $$;

create function lodestar.complete_v1(p lodestar.project, r json, in_now bigint) returns text language sql as $$
  insert into lodestar.idempotency (project_id, key, call, input_hash, plan, answer, created_at)
  values (p.project_id, r->>'key', 'command', r->>'input_hash', null, r->>'answer', in_now)
  on conflict (project_id, key) do update set answer = excluded.answer where idempotency.answer is null
  returning '{}'
$$;

create function lodestar.queue_v1(p lodestar.project, r json, in_now bigint) returns text language plpgsql as $$
declare v_no bigint;
begin
  delete from lodestar.ticket where project_id = p.project_id and seen_at <= in_now - 3000;
  update lodestar.ticket set seen_at = in_now where project_id = p.project_id and ticket_id = r->>'ticket_id';
  if not found then
    update lodestar.project set last_ticket = last_ticket + 1 where project_id = p.project_id returning last_ticket into v_no;
    insert into lodestar.ticket (project_id, ticket_no, ticket_id, filter, worktree, seen_at)
    values (p.project_id, v_no, r->>'ticket_id', r->>'filter', r->>'worktree', in_now);
  end if;
  return json_build_object('first', lodestar.is_first_v1(p.project_id, r, in_now))::text;
end $$;

-- Empties the runtime. The clock and the counters stay: tokens go on growing.
create function lodestar.clear_v1(p lodestar.project) returns text language plpgsql as $$
begin
  delete from lodestar.lease where project_id = p.project_id;
  delete from lodestar.outcome where project_id = p.project_id;
  delete from lodestar.outbox where project_id = p.project_id;
  delete from lodestar.agent where project_id = p.project_id;
  delete from lodestar.event where project_id = p.project_id;
  delete from lodestar.message where project_id = p.project_id;
  delete from lodestar.idempotency where project_id = p.project_id;
  delete from lodestar.ticket where project_id = p.project_id;
  update lodestar.project set runtime_id = replace(gen_random_uuid()::text, '-', ''), pruned_seq = last_seq
  where project_id = p.project_id;
  return '{}';
end $$;

-- Puts a snapshot into a runtime that the caller has seen empty; refused when somebody has written since.
create function lodestar.restore_v1(p lodestar.project, r json, in_now bigint, in_wall bigint) returns text language plpgsql as $$
declare v_id text := p.project_id; s json := r->'snapshot'; x json; v_no bigint;
begin
  if p.writes <> (r->>'writes')::bigint then return '{"kind":"again"}'; end if;
  if p.moved_to is not null then
    perform lodestar.clear_v1(p);
    update lodestar.project set moved_to = null where project_id = v_id;
  end if;
  insert into lodestar.agent select v_id, a->>'agent_id', a->>'display_name', a->>'role', (a->'capabilities')::text,
    (a->'session_meta')::text, (a->>'registered_at')::bigint, (a->>'last_seen_at')::bigint, (a->>'left_at')::bigint,
    a->>'worktree', a->>'session'
  from json_array_elements(s->'agents') a;
  insert into lodestar.lease select v_id, (l->>'fencing_token')::bigint, l->>'task_id', l->>'created_at', l->>'lease_id', l->>'kind',
    l->>'agent_id', l->>'session', (l->'reopens')::text, (l->'locks')::text, (l->>'granted_at')::bigint,
    (l->>'expires_at')::bigint, (l->>'ttl')::bigint, l->>'ended', (l->>'ended_at')::bigint
  from json_array_elements(s->'leases') l;
  for x in select value from json_array_elements(s->'outcomes') loop
    perform lodestar.record_v1(v_id, x, in_now);
  end loop;
  for x in select value from json_array_elements(s->'outbox') loop
    update lodestar.project set last_outbox = last_outbox + 1, last_version = last_version + 1 where project_id = v_id
    returning last_outbox into v_no;
    insert into lodestar.outbox select v_id, v_no, x->>'target_worktree', x->>'target_branch', x->>'change', x->>'task_id',
      x->>'created_at', q.last_version, (x->'reopens')::text, (x->>'rank')::integer, (x->>'verified')::boolean,
      x->>'completed_by', (x->>'completed_at')::bigint, x->>'verified_by', (x->>'verified_at')::bigint,
      (x->'completed_in')::text, (x->'unblocked')::text, x->>'worktree', x->>'branch', (x->>'at')::bigint
    from lodestar.project q where q.project_id = v_id;
  end loop;
  insert into lodestar.event select v_id, (e->>'seq')::bigint, (e->>'created_at')::bigint, e->>'type', e->>'agent_id', e->>'task_id',
    (e->'data')::text
  from json_array_elements(s->'events') e;
  for x in select value from json_array_elements(s->'messages') loop
    update lodestar.project set last_message = last_message + 1 where project_id = v_id returning last_message into v_no;
    insert into lodestar.message values (v_id, v_no, x->>'message_id', x->>'from_agent_id', x->>'task_id', x->>'to_agent_id',
      x->>'text', x->>'subject', x->>'severity', (x->>'created_at')::bigint, x->>'folded');
    insert into lodestar.message_read select v_id, v_no, one->>'agent_id', (one->>'read_at')::bigint
    from json_array_elements(x->'reads') one;
  end loop;
  insert into lodestar.idempotency select v_id, i->>'key', i->>'call', i->>'input_hash', i->>'plan', i->>'answer',
    (i->>'created_at')::bigint
  from json_array_elements(s->'idempotency') i;
  update lodestar.project set
    last_token = greatest(last_token, (s->>'last_token')::bigint), last_seq = greatest(last_seq, (s->>'last_seq')::bigint),
    pruned_seq = (s->>'pruned_seq')::bigint, last_now = greatest(in_now, (s->>'now')::bigint),
    clock_offset = greatest(clock_offset, greatest(in_now, (s->>'now')::bigint) - in_wall),
    runtime_id = replace(gen_random_uuid()::text, '-', '')
  where project_id = v_id;
  return '{"kind":"restored"}';
end $$;

-- Removes what is older than it is kept.
create function lodestar.prune_v1(p lodestar.project, in_now bigint) returns void language plpgsql as $$
declare v_events bigint := in_now - coalesce(p.keep_events, 2592000000); v_seq bigint;
begin
  select max(seq) into v_seq from lodestar.event where project_id = p.project_id and seq < coalesce((
    select seq from lodestar.event where project_id = p.project_id and created_at >= v_events order by seq limit 1), 9007199254740991);
  if v_seq is not null then delete from lodestar.event where project_id = p.project_id and seq <= v_seq; end if;
  delete from lodestar.idempotency where project_id = p.project_id and created_at < v_events;
  delete from lodestar.message where project_id = p.project_id and created_at < in_now - coalesce(p.keep_messages, 7776000000);
  update lodestar.project set pruned_at = in_now, pruned_seq = greatest(pruned_seq, coalesce(v_seq, 0))
  where project_id = p.project_id;
end $$;

-- What callers call ---------------------------------------------------------------------------------------------------------------

-- Makes a project's row, once. Counters start at the clock, so that tokens and seqs of a lost runtime are older than all of this
-- one (L2, counterexample 10).
create function lodestar.create_v1(in_project text, in_runtime_id text) returns void
language sql security definer set search_path = lodestar, pg_temp as $$
  insert into lodestar.project (project_id, runtime_id, last_now, last_token, last_seq, last_message, pruned_at, pruned_seq)
  select in_project, in_runtime_id, wall, wall, wall, wall, wall, wall
  from (select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as wall) clock
  on conflict (project_id) do nothing
$$;

-- One atomic step of one project; null when there is no such project. `in_call`: `knows`, which migrations the program knows; `call_id`, by which a call that is sent again gets
-- the answer that it had; `patience`, how long to wait for other steps, in ms; `wall`, the caller's clock; `light`, for what may be
-- lost with the power: no look at what has expired, and no fsync.
create function lodestar.write_v1(in_project text, in_step text, in_request json, in_call json) returns text
language plpgsql security definer set search_path = lodestar, pg_temp as $$
declare
  p lodestar.project; v_light boolean := (in_call->>'light')::boolean; v_wall bigint; v_now bigint; v_answer text; l lodestar.lease;
begin
  perform lodestar.check_v1(in_call);
  perform set_config('lock_timeout', in_call->>'patience', true);
  if v_light then
    perform set_config('synchronous_commit', 'off', true);
  elsif current_setting('synchronous_commit') = 'off' then
    -- What was acknowledged survives (L6), whatever the database is set to.
    perform set_config('synchronous_commit', 'on', true);
  end if;
  select * into p from lodestar.project where project_id = in_project for update;
  if not found then return null; end if;
  select c.answer into v_answer from lodestar.call c where c.project_id = in_project and c.call_id = in_call->>'call_id';
  if found then return v_answer; end if;
  -- A runtime that went on elsewhere takes no more writes; only what moves it comes through: of two moves the first counts.
  if p.moved_to is not null and in_step <> 'revive' and p.moved_to is distinct from in_request->>'replacing'
    and not (in_step = 'retire' and coalesce(p.moved_to in (in_request->>'moved_to', in_request->>'over'), false)) then
    return json_build_object('kind', 'moved', 'moved_to', p.moved_to)::text;
  end if;

  -- The clock is read with the lock held (L5, counterexample 8). When wall time steps back the difference stays (counterexample 9).
  v_wall := lodestar.wall_v1(p, (in_call->>'wall')::bigint);
  v_now := greatest(v_wall + p.clock_offset, p.last_now);
  update lodestar.project set last_now = v_now, clock_offset = greatest(clock_offset, v_now - v_wall),
    writes = writes + case when v_light then 0 else 1 end
  where project_id = in_project;
  if not v_light and p.moved_to is null then
    -- Leases whose time is over get their `task.expired` here, once.
    for l in update lodestar.lease set ended = 'expired', ended_at = expires_at
      where project_id = in_project and ended is null and expires_at <= v_now returning *
    loop
      perform lodestar.event_v1(in_project, 'task.expired', l.agent_id, l.task_id, json_build_object(
        'fencing_token', l.fencing_token, 'lease_id', l.lease_id));
    end loop;
    if v_now - p.pruned_at >= 3600000 then perform lodestar.prune_v1(p, v_now); end if;
    if v_now - p.calls_pruned_at >= 60000 then
      delete from lodestar.call where project_id = in_project and at < v_now - 300000;
      update lodestar.project set calls_pruned_at = v_now where project_id = in_project;
    end if;
  end if;

  case in_step
    when 'claim' then v_answer := lodestar.claim_v1(p, in_request, v_now);
    when 'hold' then v_answer := lodestar.hold_v1(p, in_request, v_now);
    when 'finish' then v_answer := lodestar.finish_v1(p, in_request, v_now);
    when 'join' then v_answer := lodestar.join_v1(p, in_request, v_now);
    when 'heartbeat' then v_answer := lodestar.heartbeat_v1(p, in_request, v_now);
    when 'leave' then v_answer := lodestar.leave_v1(p, in_request, v_now);
    when 'send' then v_answer := lodestar.send_v1(p, in_request, v_now);
    when 'receive' then v_answer := lodestar.receive_v1(p, in_request, v_now);
    when 'mark' then v_answer := lodestar.mark_v1(in_project, in_request->>'reader', in_request->'which', v_now)::text;
    when 'append' then v_answer := lodestar.append_v1(p, in_request, v_now);
    when 'intend' then v_answer := lodestar.intend_v1(p, in_request, v_now);
    when 'complete' then v_answer := coalesce(lodestar.complete_v1(p, in_request, v_now), '{}');
    when 'queue' then v_answer := lodestar.queue_v1(p, in_request, v_now);
    when 'dequeue' then
      delete from lodestar.ticket where project_id = in_project and ticket_id = in_request->>'ticket_id';
      v_answer := '{}';
    when 'settle' then
      delete from lodestar.outbox where project_id = in_project
        and outbox_id in (select value::bigint from json_array_elements_text(in_request->'outbox_ids'));
      v_answer := '{}';
    when 'adopt' then
      update lodestar.outbox set target_worktree = in_request->>'worktree', target_branch = in_request->>'branch'
      where project_id = in_project and outbox_id in (select value::bigint from json_array_elements_text(in_request->'outbox_ids'));
      v_answer := '{}';
    when 'keep' then
      update lodestar.project set keep_events = (in_request->>'events')::bigint, keep_messages = (in_request->>'messages')::bigint
      where project_id = in_project;
      v_answer := '{}';
    when 'clear' then v_answer := lodestar.clear_v1(p);
    when 'restore' then v_answer := lodestar.restore_v1(p, in_request, v_now, v_wall);
    when 'retire' then
      update lodestar.project set moved_to = in_request->>'moved_to' where project_id = in_project;
      -- The fence and the snapshot in one step: no write falls between them. It is large, and the same when asked for again.
      return lodestar.read_v1(in_project, 'snapshot', '{}', in_call);
    when 'revive' then
      update lodestar.project set moved_to = null where project_id = in_project and moved_to = in_request->>'moved_to';
      v_answer := '{}';
    when 'belong' then
      update lodestar.project set home = (in_request->'home')::text where project_id = in_project;
      v_answer := '{}';
    when 'listen' then
      update lodestar.project set listened_until = greatest(listened_until, v_now + (in_request->>'for')::bigint)
      where project_id = in_project;
      v_answer := '{}';
  end case;

  v_answer := coalesce(v_answer, '{}');
  if not v_light then
    insert into lodestar.call (project_id, call_id, answer, at) values (in_project, in_call->>'call_id', v_answer, v_now);
    if p.listened_until > v_now then perform pg_notify('lodestar_' || md5(in_project), ''); end if;
  end if;
  return v_answer;
end $$;

-- One consistent look at one project; null when there is no such project. Writes nothing.
create function lodestar.read_v1(in_project text, in_look text, q json, in_call json) returns text
language plpgsql stable security definer set search_path = lodestar, pg_temp as $$
declare p lodestar.project; v_now bigint; v_agent text := q->>'agent_id'; v_answer json;
begin
  perform lodestar.check_v1(in_call);
  select * into p from lodestar.project where project_id = in_project;
  if not found then return null; end if;
  v_now := greatest(lodestar.wall_v1(p, (in_call->>'wall')::bigint) + p.clock_offset, p.last_now);
  case in_look
    when 'pulse' then v_answer := json_build_object('writes', p.writes);
    when 'observe' then
      select json_build_object(
        'runtime_id', p.runtime_id, 'now', v_now,
        'leases', coalesce((select json_agg(lodestar.lease_json_v1(l) order by l.fencing_token) from lodestar.lease l
          where l.project_id = in_project and l.ended is null and l.expires_at > v_now), '[]'::json),
        'outcomes', coalesce((select json_agg(lodestar.outcome_json_v1(o) order by o.version) from lodestar.outcome o
          where o.project_id = in_project and o.version > (q->>'since')::numeric), '[]'::json),
        -- Given back by this agent, and held by nobody since; claims that were stepped back do not count.
        'released', coalesce((select json_agg(json_build_object('task_id', l.task_id, 'created_at', l.created_at)
            order by l.task_id collate "C", l.created_at collate "C") from lodestar.lease l
          where l.project_id = in_project and l.agent_id = v_agent and l.ended = 'released' and not exists (
            select from lodestar.lease later
            where later.project_id = in_project and later.task_id = l.task_id and later.created_at = l.created_at
              and later.fencing_token > l.fencing_token and later.ended is distinct from 'reverted')), '[]'::json),
        'outbox_waiting', exists (select from lodestar.outbox b where b.project_id = in_project
          and (b.target_worktree <> q->>'worktree' or b.target_branch = q->>'branch')),
        'agent', (select lodestar.agent_json_v1(a) from lodestar.agent a where a.project_id = in_project and a.agent_id = v_agent),
        'counts', case when (q->>'counts')::boolean then json_build_object(
          'agents', (select count(*) from lodestar.agent a where a.project_id = in_project and a.left_at is null),
          'messages', (select count(*) from lodestar.message m where m.project_id = in_project),
          'unread', case when v_agent is null then 0 else (select count(*) from lodestar.message m where m.project_id = in_project
            and lodestar.is_mine_v1(m, v_agent, v_now) and lodestar.is_unread_v1(m, v_agent)) end) end,
        -- What this agent holds and is about to speak of, so that its next step need not ask.
        'scenes', coalesce((select json_agg(lodestar.scene_v1(in_project, h.task_id, h.created_at, v_now)) from (
          select l.task_id, l.created_at from lodestar.lease l
          where l.project_id = in_project and l.agent_id = v_agent and l.ended is null
          order by l.fencing_token desc limit 4) h), '[]'::json),
        'last_seq', p.last_seq, 'version', p.last_version, 'moved_to', p.moved_to, 'keep_events', p.keep_events, 'keep_messages', p.keep_messages)
      into v_answer;
    when 'lookup' then
      with wanted as (
        select value as task_id, min(ordinality) as place from json_array_elements_text(q->'task_ids') with ordinality group by value
      ), keys as (
        select w.task_id, w.place, k.created_at from wanted w left join lateral (
          select l.created_at from lodestar.lease l where l.project_id = in_project and l.task_id = w.task_id
          union select o.created_at from lodestar.outcome o where o.project_id = in_project and o.task_id = w.task_id) k on true
      )
      select coalesce(json_agg(json_build_object(
        'task_id', k.task_id, 'created_at', k.created_at,
        'scene', case when k.created_at is not null then lodestar.scene_v1(in_project, k.task_id, k.created_at, v_now) end,
        'message_count', (select count(*) from lodestar.message m where m.project_id = in_project and m.task_id = k.task_id),
        'unread', case when q->>'reader' is null then 0 else (select count(*) from lodestar.message m
          where m.project_id = in_project and m.task_id = k.task_id and lodestar.is_unread_v1(m, q->>'reader')) end
      ) order by k.place, k.created_at collate "C"), '[]'::json) into v_answer from keys k;
    when 'outbox' then
      select coalesce(json_agg(lodestar.outcome_json_v1((b.project_id, b.task_id, b.created_at, b.version, b.reopens, b.rank,
          b.verified, b.completed_by, b.completed_at, b.verified_by, b.verified_at, b.completed_in, b.unblocked, b.worktree,
          b.branch, b.at)::lodestar.outcome)::jsonb || jsonb_build_object('outbox_id', b.outbox_id, 'change', b.change,
          'target_worktree', b.target_worktree, 'target_branch', b.target_branch) order by b.outbox_id), '[]'::json)
      into v_answer from lodestar.outbox b where b.project_id = in_project;
    when 'outcomes' then
      select coalesce(json_agg(lodestar.outcome_json_v1(o) order by o.version), '[]'::json) into v_answer
      from lodestar.outcome o where o.project_id = in_project and o.version > (q->>'since')::numeric;
    when 'agents' then
      select json_build_object('now', v_now,
        'agents', coalesce((select json_agg(lodestar.agent_json_v1(a) order by a.registered_at, a.agent_id collate "C")
          from lodestar.agent a where a.project_id = in_project), '[]'::json),
        'leases', coalesce((select json_agg(lodestar.lease_json_v1(l) order by l.fencing_token) from lodestar.lease l
          where l.project_id = in_project and l.ended is null and l.expires_at > v_now), '[]'::json)) into v_answer;
    when 'events' then
      select json_build_object('last_seq', p.last_seq, 'pruned_seq', p.pruned_seq, 'events', coalesce((
        select json_agg(e order by e.seq) from (
          select x.seq, x.created_at, x.type, x.agent_id, x.task_id, x.data from lodestar.event x
          where x.project_id = in_project and x.seq > (q->>'since')::numeric
            and (q->'types' is null or x.type in (select value from json_array_elements_text(q->'types')))
            and (q->>'agent_id' is null or x.agent_id = q->>'agent_id')
            and (q->>'task_id' is null or x.task_id = q->>'task_id')
          order by x.seq limit (q->>'limit')::bigint) e), '[]'::json)) into v_answer;
    when 'messages' then v_answer := lodestar.messages_v1(in_project, q, v_now);
    when 'threads' then
      select coalesce(json_agg(t order by t.last_no desc), '[]'::json) into v_answer from (
        select m.task_id, count(*) as message_count, max(m.created_at) as last_at, max(m.message_no) as last_no,
          count(*) filter (where q->>'reader' is not null and lodestar.is_unread_v1(m, q->>'reader')) as unread
        from lodestar.message m where m.project_id = in_project and m.task_id is not null
        group by m.task_id order by max(m.message_no) desc limit (q->>'limit')::bigint) t;
    when 'snapshot' then
      select json_build_object('writes', p.writes, 'moved_to', p.moved_to, 'now', v_now, 'last_token', p.last_token, 'last_seq', p.last_seq,
        'pruned_seq', p.pruned_seq,
        'agents', coalesce((select json_agg(lodestar.agent_json_v1(a)::jsonb || jsonb_build_object('session', a.session)
          order by a.registered_at, a.agent_id collate "C") from lodestar.agent a where a.project_id = in_project), '[]'::json),
        'leases', coalesce((select json_agg(lodestar.lease_json_v1(l)::jsonb || jsonb_build_object('ended', l.ended,
          'ended_at', l.ended_at) order by l.fencing_token) from lodestar.lease l where l.project_id = in_project), '[]'::json),
        'events', coalesce((select json_agg(json_build_object('seq', e.seq, 'created_at', e.created_at, 'type', e.type,
          'agent_id', e.agent_id, 'task_id', e.task_id, 'data', e.data) order by e.seq)
          from lodestar.event e where e.project_id = in_project), '[]'::json),
        'messages', coalesce((select json_agg(lodestar.message_json_v1(m)::jsonb || jsonb_build_object('reads', coalesce((
            select json_agg(json_build_object('agent_id', r.agent_id, 'read_at', r.read_at)
              order by r.read_at, r.agent_id collate "C")
            from lodestar.message_read r where r.project_id = in_project and r.message_no = m.message_no), '[]'::json))
          order by m.message_no) from lodestar.message m where m.project_id = in_project), '[]'::json),
        'idempotency', coalesce((select json_agg(json_build_object('key', i.key, 'call', i.call, 'input_hash', i.input_hash,
          'plan', i.plan, 'answer', i.answer, 'created_at', i.created_at) order by i.created_at, i.key collate "C")
          from lodestar.idempotency i where i.project_id = in_project), '[]'::json),
        'outcomes', lodestar.read_v1(in_project, 'outcomes', '{"since":0}', in_call)::json,
        'outbox', lodestar.read_v1(in_project, 'outbox', '{}', in_call)::json) into v_answer;
    when 'inspect' then
      select json_agg(says) into v_answer from (
        select 'A fencing token is newer than the runtime''s last one.' as says where exists (
          select from lodestar.lease where project_id = in_project and fencing_token > p.last_token)
        union all select 'An outcome is newer than the runtime''s last version.' where exists (
          select from lodestar.outcome where project_id = in_project and version > p.last_version)
        union all select 'An event is newer than the runtime''s last seq.' where exists (
          select from lodestar.event where project_id = in_project and seq > p.last_seq)) found;
      v_answer := coalesce(v_answer, '[]');
    when 'info' then
      select json_build_object('runtime_id', p.runtime_id, 'clock_offset', p.clock_offset,
        'schema_version', (select max(version) from lodestar.migration), 'now', v_now, 'home', p.home::json, 'moved_to', p.moved_to,
        'engine', 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1), 'counts', json_build_object(
        'agents', (select count(*) from lodestar.agent where project_id = in_project and left_at is null),
        'leases', (select count(*) from lodestar.lease where project_id = in_project and ended is null),
        'messages', (select count(*) from lodestar.message where project_id = in_project),
        'events', (select count(*) from lodestar.event where project_id = in_project),
        'outcomes', (select count(*) from lodestar.outcome where project_id = in_project))) into v_answer;
  end case;
  return v_answer::text;
end $$;
