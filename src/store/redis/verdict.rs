//! What an error of Redis means for the request that met it: one table.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again a little later on the same connection.
    Later,
    /// Connect anew (the primary may be another one by now), then ask again.
    Elsewhere,
    /// Asking again will not help.
    Final,
}

/// Server errors, by code, that pass: a full memory too, once an operator or an expiry makes room.
const LATER: [&str; 8] =
    ["LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "OOM", "BUSY", "NOREPLICAS", "MISCONF"];
/// Server errors that say that this is the wrong server, or no longer the right one.
const ELSEWHERE: [&str; 4] = ["READONLY", "MOVED", "ASK", "UNBLOCKED"];

/// Judges an error.
pub fn of(error: &RedisError) -> Verdict {
    match error.kind() {
        ErrorKind::Io
        | ErrorKind::Parse
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::ClusterConnectionNotFound => Verdict::Elsewhere,
        // One that dies in the middle answers the script's commands with its own trouble.
        ErrorKind::Server(ServerErrorKind::ResponseError) => by_detail(error),
        ErrorKind::Server(_) | ErrorKind::Extension => by_code(error.code()),
        _ => Verdict::Final,
    }
}

fn by_code(code: Option<&str>) -> Verdict {
    let Some(code) = code else { return Verdict::Final };
    if LATER.contains(&code) {
        Verdict::Later
    } else if ELSEWHERE.contains(&code) {
        Verdict::Elsewhere
    } else {
        Verdict::Final
    }
}

/// A script's inner error comes as ERR with the code inside (6.2) or as itself (7.0).
fn by_detail(error: &RedisError) -> Verdict {
    let text = error.detail().unwrap_or_default();
    let inner = text.split("-").nth(1).and_then(|rest| rest.split(' ').next());
    let oom = text.contains("command not allowed when used memory > 'maxmemory'");
    if oom { Verdict::Later } else { by_code(inner) }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn server(line: &str) -> RedisError {
        let answer = format!("-{line}\r\n");
        let value = redis::parse_redis_value(answer.as_bytes()).expect("an answer");
        value.extract_error().expect_err("an error")
    }

    #[test]
    fn each_error_has_its_verdict() {
        let rows = [
            ("LOADING Redis is loading the dataset in memory", Verdict::Later),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Verdict::Later),
            ("CLUSTERDOWN The cluster is down", Verdict::Later),
            ("MASTERDOWN Link with MASTER is down", Verdict::Later),
            ("OOM command not allowed when used memory > 'maxmemory'.", Verdict::Later),
            ("BUSY Redis is busy running a script.", Verdict::Later),
            ("NOREPLICAS Not enough good replicas to write.", Verdict::Later),
            ("MISCONF Errors writing to the AOF file: No space left", Verdict::Later),
            ("READONLY You can't write against a read only replica.", Verdict::Elsewhere),
            (
                "ERR Error running script (call to f_edfb): @user_script:1: @user_script: 1: \
                 -READONLY You can't write against a read only replica.",
                Verdict::Elsewhere,
            ),
            (
                "ERR @user_script:3: OOM command not allowed when used memory > 'maxmemory'.",
                Verdict::Later,
            ),
            ("ERR unknown command", Verdict::Final),
            ("WRONGTYPE Operation against a key", Verdict::Final),
            ("NOPERM this user has no permissions", Verdict::Final),
            ("NOAUTH Authentication required.", Verdict::Final),
            ("CROSSSLOT Keys in request don't hash to the same slot", Verdict::Final),
        ];
        for (line, verdict) in rows {
            assert_eq!(of(&server(line)), verdict, "{line}");
        }
        let lost = RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(of(&lost), Verdict::Elsewhere);
        let late = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(of(&late), Verdict::Elsewhere);
    }
}
