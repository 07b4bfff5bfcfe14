-- Which repository the runtime is for (JSON), and where it went on: a runtime with `moved_to` takes no more writes.
alter table runtime add column home text;
alter table runtime add column moved_to text;
