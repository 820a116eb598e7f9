use rusqlite::StatementStatus;

use super::*;

const MIGRATIONS: &[&str] = &["CREATE TABLE notes(text TEXT NOT NULL UNIQUE)"];

fn open(dir: &tempfile::TempDir) -> Database {
    let path = dir.path().join("notes.db");
    Database::open::<_, Failure>(&path, MIGRATIONS, |_| Ok(())).expect("it opens").0
}

fn insert(text: &'static str) -> impl FnOnce(&Connection) -> Result<usize, Failure> + Send {
    move |connection| Ok(connection.execute("INSERT INTO notes VALUES (?1)", [text])?)
}

async fn notes(database: &Database) -> Vec<String> {
    let read = |connection: &Connection| -> Result<Vec<String>, Failure> {
        let mut statement = connection.prepare("SELECT text FROM notes ORDER BY text")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    database.read(read).await.expect("it reads")
}

#[tokio::test]
async fn a_failing_piece_of_work_does_not_disturb_its_neighbours() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(&dir);
    let half = |connection: &Connection| -> Result<(), Failure> {
        insert("half")(connection)?;
        Err(Failure::new("refused"))
    };
    let panics = |connection: &Connection| -> Result<(), Failure> {
        insert("panicked")(connection)?;
        panic!("a bug in the work");
    };
    let (first, refused, panicked, last) = tokio::join!(
        database.write(insert("first"), |_| ()),
        database.write(half, |()| ()),
        database.write(panics, |()| ()),
        database.write(insert("last"), |_| ()),
    );
    assert!(first.is_ok() && last.is_ok());
    assert!(refused.expect_err("refused").to_string().contains("refused"));
    assert!(panicked.is_err());
    assert_eq!(notes(&database).await, ["first", "last"]);
}

#[tokio::test]
async fn work_is_done_in_order_and_seen_after_its_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(&dir);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |text: &'static str| {
        let seen = Arc::clone(&seen);
        move |_: &usize| seen.lock().expect("no panic").push(text)
    };
    let (a, b, c) = tokio::join!(
        database.write(insert("a"), note("a")),
        database.write_alone(insert("b"), note("b")),
        database.write(insert("c"), note("c")),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(*seen.lock().expect("no panic"), ["a", "b", "c"]);
    assert_eq!(notes(&database).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_was_queued_is_written_though_its_caller_went_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(&dir);
    {
        let mut write = Box::pin(database.write(insert("orphan"), |_| ()));
        let polled = futures_util::poll!(write.as_mut());
        drop((polled, write));
    }
    drop(database);
    assert_eq!(notes(&open(&dir)).await, ["orphan"]);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(open(&dir));
    let path = dir.path().join("notes.db");
    let older = Database::open::<_, Failure>(&path, &[], |_| Ok(()));
    assert!(older.expect_err("it is newer").to_string().contains("version 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn short_reads_see_what_was_written_before_and_one_that_panics_disturbs_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(&dir);
    let count = |connection: &Connection| -> Result<i64, Failure> {
        Ok(connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))?)
    };
    let mut reads = Vec::new();
    for written in 1..=200 {
        let note = move |connection: &Connection| -> Result<usize, Failure> {
            Ok(connection.execute("INSERT INTO notes VALUES (?1)", [written.to_string()])?)
        };
        database.write(note, |_| ()).await.expect("written");
        let database = database.clone();
        reads.push(tokio::spawn(async move {
            match written % 50 {
                0 => database.glance(|_| -> Result<i64, Failure> { panic!("on purpose") }).await,
                _ => database.glance(count).await,
            }
            .map(|seen| (written, seen))
        }));
    }
    let mut panicked = 0;
    for read in reads {
        match read.await.expect("no panic reaches who asked") {
            Ok((written, seen)) => assert!(seen >= written, "{seen} of {written}"),
            Err(_) => panicked += 1,
        }
    }
    assert_eq!(panicked, 4);
    assert_eq!(database.glance(count).await.expect("a later one"), 200);
}

#[tokio::test]
async fn a_peek_reads_on_its_callers_thread_and_what_fails_there_is_read_elsewhere() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let database = open(&dir);
    let caller = thread::current().id();
    let count = move |connection: &Connection| -> Result<(i64, bool), Failure> {
        let select = "SELECT count(*) FROM notes";
        let count = connection.query_row(select, [], |row| row.get(0))?;
        Ok((count, thread::current().id() == caller))
    };
    // The first finds no connection, those after it read on this thread.
    for (text, seen) in [("one", (1, false)), ("two", (2, true)), ("three", (3, true))] {
        database.write(insert(text), |_| ()).await.expect("written");
        assert_eq!(database.peek(count).await.expect("read"), seen, "{text}");
    }
    // What fails at once is tried again where it may wait.
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    let fails = move |_: &Connection| -> Result<(), Failure> {
        *counted.lock().expect("unpoisoned") += 1;
        Err(Failure::new("busy"))
    };
    database.peek(fails).await.expect_err("it fails all the same");
    assert_eq!(*tries.lock().expect("unpoisoned"), 2);
}

#[tokio::test]
async fn many_empty_the_journal_at_once_beside_those_who_write_and_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(&dir);
    let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let leave = words.map(|word| {
        let database = database.clone();
        tokio::spawn(async move {
            database.write(insert(word), |_| ()).await.expect("written");
            database.scrub().await.expect("emptied, though others do the same");
            notes(&database).await
        })
    });
    for left in leave {
        left.await.expect("no panic");
    }
    database.scrub().await.expect("emptied");
    let journal = dir.path().join("notes.db-wal").metadata().expect("a journal");
    assert_eq!(journal.len(), 0);
    assert_eq!(notes(&database).await, words);
}

#[tokio::test]
async fn a_statement_that_is_kept_is_compiled_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(&dir);
    let compiled_again = |connection: &Connection| -> Result<i32, Failure> {
        let mut statement = connection.prepare_cached("SELECT text FROM notes LIMIT ?1")?;
        for limit in 1..5 {
            let _: Vec<String> =
                statement.query_map([limit], |row| row.get(0))?.collect::<Result<_, _>>()?;
        }
        Ok(statement.get_status(StatementStatus::RePrepare))
    };
    for _ in 0..3 {
        assert_eq!(database.read(compiled_again).await.expect("read"), 0);
        assert_eq!(database.write(compiled_again, |_| ()).await.expect("read"), 0);
    }
}

#[tokio::test]
async fn a_journal_that_a_reader_made_long_goes_back_to_its_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("blobs.db");
    let migrations = &["CREATE TABLE blobs(bytes BLOB NOT NULL)"];
    let open = Database::open::<_, Failure>(&path, migrations, |_| Ok(()));
    let database = open.expect("it opens").0;
    let add = |connection: &Connection| -> Result<usize, Failure> {
        let sql = "INSERT INTO blobs VALUES (zeroblob(1048576))";
        Ok(connection.prepare_cached(sql)?.execute([])?)
    };
    let journal =
        || dir.path().join("blobs.db-wal").metadata().expect("a journal").len() / (1024 * 1024);
    database.write(add, |_| ()).await.expect("written");
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let read = move |connection: &Connection| -> Result<(), Failure> {
        connection.execute_batch("BEGIN; SELECT count(*) FROM blobs")?;
        begun.send(()).expect("the test waits");
        ends.recv().map_err(Failure::new)?;
        Ok(connection.execute_batch("COMMIT")?)
    };
    let reader = tokio::spawn({
        let database = database.clone();
        async move { database.read(read).await }
    });
    begins.await.expect("it reads");
    for _ in 0..12 {
        database.write(add, |_| ()).await.expect("written");
    }
    assert!(journal() >= 12, "{} MiB", journal());
    end.send(()).expect("it reads");
    reader.await.expect("no panic").expect("read");
    for _ in 0..3 {
        database.write(add, |_| ()).await.expect("written");
    }
    assert!(journal() <= 8, "{} MiB", journal());
}
