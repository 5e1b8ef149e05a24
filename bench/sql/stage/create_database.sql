-- Purpose: the database in which a bench does everything. Locks: none. Repeat: fails when it is there.
CREATE DATABASE app TEMPLATE template0
