-- Every row has a name, so that changes to it can be told.
CREATE TABLE turns (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
INSERT INTO turns SELECT 1, n FROM turn;
DROP TABLE turn;
ALTER TABLE turns RENAME TO turn;
