CREATE TABLE IF NOT EXISTS cases (id TEXT PRIMARY KEY, gallery TEXT, name TEXT, about TEXT, made TEXT, by TEXT,
    token TEXT);
CREATE TABLE IF NOT EXISTS marks (case_id TEXT, crop TEXT, by TEXT, verdict TEXT, reason TEXT, sentence TEXT, at TEXT,
    PRIMARY KEY (case_id, crop, by));
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY AUTOINCREMENT, case_id TEXT, text TEXT, by TEXT, at TEXT);
CREATE TABLE IF NOT EXISTS queries (number INTEGER PRIMARY KEY AUTOINCREMENT, case_id TEXT, told TEXT, by TEXT,
    at TEXT);
CREATE TABLE IF NOT EXISTS redactions (case_id TEXT, crop TEXT, head INTEGER, boxes TEXT, reason TEXT, by TEXT, at TEXT,
    PRIMARY KEY (case_id, crop));
