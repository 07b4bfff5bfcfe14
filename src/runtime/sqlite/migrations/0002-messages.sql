-- Search in messages, and how long things are kept.

-- Every run of three signs, so that parts of words, paths and identifiers are found. The words stay in the message alone.
create virtual table message_text using fts5(
  text, subject, content = 'message', content_rowid = 'message_no', tokenize = 'trigram remove_diacritics 1'
);
create trigger message_text_add after insert on message begin
  insert into message_text (rowid, text, subject) values (new.message_no, new.text, new.subject);
end;
create trigger message_text_remove after delete on message begin
  insert into message_text (message_text, rowid, text, subject)
  values ('delete', old.message_no, old.text, old.subject);
end;
insert into message_text (message_text) values ('rebuild');

-- Null: as long as the program says.
alter table runtime add column keep_events integer;
alter table runtime add column keep_messages integer;
