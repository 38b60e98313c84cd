PRAGMA application_id = 1635017827;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "changes" VALUES(1,'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO "changes" VALUES(6,'at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/a');
INSERT INTO "changes" VALUES(7,'at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/b');
INSERT INTO "changes" VALUES(8,'at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/big');
INSERT INTO "changes" VALUES(9,'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO "changes" VALUES(10,'at://did:plc:bbbbbbbbbbbbbbbbbbbbbbbb/science.alt.dataset.label/c');
CREATE TABLE crawls (number INTEGER PRIMARY KEY, ended TEXT NOT NULL, report TEXT NOT NULL) STRICT;
CREATE TABLE cursors (source TEXT PRIMARY KEY, cursor INTEGER NOT NULL, moment TEXT) STRICT, WITHOUT ROWID;
INSERT INTO "cursors" VALUES('firehose:x',7,'2026-11-30T16:39:23.578907+00:00');
CREATE TABLE denied (did TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE identity (id TEXT NOT NULL) STRICT;
INSERT INTO "identity" VALUES('of the test');
CREATE TABLE listings (
    source TEXT NOT NULL, did TEXT NOT NULL, PRIMARY KEY (source, did)
) STRICT, WITHOUT ROWID;
INSERT INTO "listings" VALUES('repo:a','did:plc:aaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO "listings" VALUES('repo:b','did:plc:bbbbbbbbbbbbbbbbbbbbbbbb');
CREATE TABLE records (
    uri TEXT PRIMARY KEY, did TEXT NOT NULL, cid TEXT NOT NULL, source TEXT NOT NULL, draft INTEGER NOT NULL,
    verified INTEGER NOT NULL, local TEXT NOT NULL, first_seen TEXT NOT NULL, updated TEXT NOT NULL, value TEXT NOT NULL
) STRICT;
INSERT INTO "records" VALUES('at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/a','did:plc:aaaaaaaaaaaaaaaaaaaaaaaa','bafyreifyflwea4tvayd4lz7ktlssrrqs6ben6clyvgh4l34j2rliklumb4','repo:a',0,1,'[]','2026-01-02T00:00:00.000000+00:00','2026-01-03T00:00:00.000000+00:00','{"$type":"science.alt.dataset.label","name":"2"}');
INSERT INTO "records" VALUES('at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/b','did:plc:aaaaaaaaaaaaaaaaaaaaaaaa','bafyreicibpjvfmc6pvvvdvz324w27uchfjh4vundq5kzqkwzfx2fjvlao4','repo:a',0,1,'[]','2026-01-02T00:00:00.000000+00:00','2026-01-02T00:00:00.000000+00:00','{"$type":"science.alt.dataset.label","name":"ä 😀"}');
INSERT INTO "records" VALUES('at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/big','did:plc:aaaaaaaaaaaaaaaaaaaaaaaa','bafyreievsepx4hxfrdxhumetr5ohd4knbit7k6twwbtc3dgg5hwbxj5b7i','repo:a',0,1,'[]','2026-01-02T00:00:00.000000+00:00','2026-01-02T00:00:00.000000+00:00','{"$type":"science.alt.dataset.label","name":"x","description":"long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long "}');
INSERT INTO "records" VALUES('at://did:plc:bbbbbbbbbbbbbbbbbbbbbbbb/science.alt.dataset.label/c','did:plc:bbbbbbbbbbbbbbbbbbbbbbbb','bafyreidsir3wnbgihuzbd7ud4grv4gebvpm7qz23jfjgpadezfz34b3kju','repo:b',0,0,'[]','2026-01-02T00:00:00.000000+00:00','2026-01-02T00:00:00.000000+00:00','{"$type":"science.alt.dataset.label","name":"3"}');
CREATE TABLE refused (
    uri TEXT NOT NULL, reason TEXT NOT NULL, did TEXT NOT NULL, source TEXT NOT NULL, cid TEXT,
    PRIMARY KEY (did, uri, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO "refused" VALUES('at://x','bad','did:plc:aaaaaaaaaaaaaaaaaaaaaaaa','repo:a',NULL);
CREATE TABLE repos (
    did TEXT PRIMARY KEY, handle TEXT, pds TEXT, rev TEXT, active INTEGER NOT NULL, status TEXT,
    source TEXT NOT NULL, draft INTEGER NOT NULL, identified TEXT, signing_key TEXT, root TEXT
, newest TEXT) STRICT, WITHOUT ROWID;
INSERT INTO "repos" VALUES('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa',NULL,'https://pds.example.org','3kaaaaaaaaab2',1,NULL,'repo:a',0,NULL,'zKey','bafyroot','3kaaaaaaaaab2');
INSERT INTO "repos" VALUES('did:plc:bbbbbbbbbbbbbbbbbbbbbbbb',NULL,NULL,'3kbbbbbbbbbb2',1,NULL,'repo:b',0,NULL,'zKey','bafyroot','3kbbbbbbbbbb2');
CREATE TABLE sources (source TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO "sources" VALUES('repo:a');
INSERT INTO "sources" VALUES('repo:b');
CREATE TABLE trees (did TEXT PRIMARY KEY, nodes BLOB NOT NULL) STRICT;
INSERT INTO "trees" VALUES('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa',X'6E6F646573');
CREATE TABLE versions (
    uri TEXT NOT NULL, number INTEGER NOT NULL, cid TEXT NOT NULL, rev TEXT, seen TEXT NOT NULL, value TEXT,
    PRIMARY KEY (uri, number)
) STRICT;
INSERT INTO "versions" VALUES('at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/a',1,'bafyreif22464kjjl42m27tjr2gai36is63ceslbizlj5b2jjiwf4epz5xa','3kaaaaaaaaaa2','2026-01-02T00:00:00.000000+00:00','{"$type":"science.alt.dataset.label","name":"1"}');
INSERT INTO "versions" VALUES('at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/a',2,'bafyreifyflwea4tvayd4lz7ktlssrrqs6ben6clyvgh4l34j2rliklumb4','3kaaaaaaaaab2','2026-01-03T00:00:00.000000+00:00',NULL);
INSERT INTO "versions" VALUES('at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/b',1,'bafyreicibpjvfmc6pvvvdvz324w27uchfjh4vundq5kzqkwzfx2fjvlao4','3kaaaaaaaaaa2','2026-01-02T00:00:00.000000+00:00',NULL);
INSERT INTO "versions" VALUES('at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.label/big',1,'bafyreievsepx4hxfrdxhumetr5ohd4knbit7k6twwbtc3dgg5hwbxj5b7i','3kaaaaaaaaaa2','2026-01-02T00:00:00.000000+00:00',NULL);
INSERT INTO "versions" VALUES('at://did:plc:bbbbbbbbbbbbbbbbbbbbbbbb/science.alt.dataset.label/c',1,'bafyreidsir3wnbgihuzbd7ud4grv4gebvpm7qz23jfjgpadezfz34b3kju','3kbbbbbbbbbb2','2026-01-02T00:00:00.000000+00:00',NULL);
CREATE INDEX repos_handle ON repos (handle);
CREATE INDEX records_did ON records (did);
CREATE TRIGGER repo_changed BEFORE INSERT ON repos
WHEN EXISTS (SELECT 1 FROM repos WHERE did = NEW.did AND (handle IS NOT NEW.handle OR active <> NEW.active))
BEGIN DELETE FROM changes WHERE what = NEW.did; INSERT INTO changes (what) VALUES (NEW.did); END;
CREATE TRIGGER repo_listed AFTER INSERT ON listings BEGIN DELETE FROM changes WHERE what = NEW.did; INSERT INTO changes (what) VALUES (NEW.did); END;
CREATE TRIGGER repo_unlisted AFTER DELETE ON listings BEGIN DELETE FROM changes WHERE what = OLD.did; INSERT INTO changes (what) VALUES (OLD.did); END;
CREATE TRIGGER record_came AFTER INSERT ON records BEGIN DELETE FROM changes WHERE what = NEW.uri; INSERT INTO changes (what) VALUES (NEW.uri); END;
CREATE TRIGGER record_went AFTER DELETE ON records BEGIN DELETE FROM changes WHERE what = OLD.uri; INSERT INTO changes (what) VALUES (OLD.uri); END;
CREATE TRIGGER record_changed AFTER UPDATE ON records
WHEN OLD.cid <> NEW.cid OR OLD.verified <> NEW.verified OR OLD.source <> NEW.source OR OLD.draft <> NEW.draft
BEGIN DELETE FROM changes WHERE what = NEW.uri; INSERT INTO changes (what) VALUES (NEW.uri); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('changes',10);
COMMIT;
