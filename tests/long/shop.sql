CREATE TABLE customers (
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(80) NOT NULL,
    email VARCHAR(80) NOT NULL UNIQUE,
    born DATE,
    parent_id INTEGER REFERENCES customers (id)
);
CREATE TABLE orders (
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    number INTEGER NOT NULL,
    placed TIMESTAMP NOT NULL,
    paid BOOLEAN NOT NULL,
    notes TEXT,
    PRIMARY KEY (customer_id, number)
);
CREATE TABLE items (
    customer_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    line INTEGER NOT NULL,
    price NUMERIC(10, 2) NOT NULL CHECK (price >= 0),
    PRIMARY KEY (customer_id, number, line),
    FOREIGN KEY (customer_id, number) REFERENCES orders (customer_id, number)
);
CREATE INDEX items_price ON items (price);
CREATE TABLE tags (name VARCHAR(20) NOT NULL PRIMARY KEY);
CREATE TABLE customer_tags (
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    tag VARCHAR(20) NOT NULL REFERENCES tags (name),
    PRIMARY KEY (customer_id, tag)
);
CREATE TABLE log (happened TIMESTAMP NOT NULL, line TEXT NOT NULL);
CREATE VIEW unpaid AS
    SELECT o.customer_id, o.number, c.name FROM orders o JOIN customers c ON c.id = o.customer_id
    WHERE NOT o.paid;
INSERT INTO customers (id, name, email) VALUES (1, 'Ada', 'ada@example.com');
INSERT INTO customers (id, name, email, parent_id) VALUES (2, 'Bob', 'bob@example.com', 1);
INSERT INTO orders VALUES (2, 1, '2026-07-01 12:30:59', FALSE, 'by post');
INSERT INTO items VALUES (2, 1, 1, 12.50);
INSERT INTO tags VALUES ('new');
INSERT INTO customer_tags VALUES (2, 'new')
