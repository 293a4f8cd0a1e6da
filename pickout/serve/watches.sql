CREATE TABLE IF NOT EXISTS watches (gallery TEXT, name TEXT, search TEXT, rate REAL, crops REAL, webhook TEXT,
    token TEXT, made TEXT, purpose TEXT, PRIMARY KEY (gallery, name));
CREATE TABLE IF NOT EXISTS background (gallery TEXT, name TEXT, scores BLOB, PRIMARY KEY (gallery, name));
CREATE TABLE IF NOT EXISTS seen (gallery TEXT, name TEXT, crop TEXT, PRIMARY KEY (gallery, name, crop)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (number INTEGER PRIMARY KEY AUTOINCREMENT, gallery TEXT, name TEXT, crop TEXT,
    at TEXT, p REAL, score REAL, webhook TEXT, sent TEXT, UNIQUE (gallery, name, crop));
-- Whose scores a background holds: scores of two models do not compare.
CREATE TABLE IF NOT EXISTS models (gallery TEXT, name TEXT, fingerprint TEXT, PRIMARY KEY (gallery, name));
