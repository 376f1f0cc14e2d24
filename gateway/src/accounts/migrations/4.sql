-- The job that answers the chats of a batch. A batch has none until its job is in the queue;
-- what earlier versions left waiting is given one at the next start.
ALTER TABLE batches ADD COLUMN job TEXT;
-- Items are looked up by batch now.
DROP INDEX batch_items_waiting;
