//! `loa people`: who works in the agencies. Works on the data directory, or on a cluster's Redis,
//! also while nodes run; whoever is switched off or gets a new password is logged out at once.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::auth::password;
use crate::cli::place::Place;
use crate::cli::{BadInput, audit};
use crate::domain::audit::Act;
use crate::domain::ids::PersonId;
use crate::domain::person::{NAME_CHARS_MAX, PASSWORD_BYTES_MAX, Person, Right, password_problem};
use crate::node::stores;
use crate::store::people::{Account, People};

/// What to do with people.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a person, or change what they may
    #[command(
        after_help = "Example:\n  loa people put lan --agency pc07 --name \"Nguyễn Thị Lan\" \
        --rights write --password-file - --data-dir data"
    )]
    Put(PutArgs),
    /// List people
    #[command(after_help = "Example:\n  loa people list --data-dir data\n  \
        loa people list --config loa.toml")]
    List(DirArgs),
    /// Switch a person off: they are logged out and cannot log in again
    #[command(after_help = "Example:\n  loa people off lan --data-dir data")]
    Off(OffArgs),
    /// Say whose an account at the identity provider is: that person logs in with it from now on
    #[command(after_help = "Example:\n  loa people link lan --email lan@city.example \
        --config loa.toml")]
    Link(LinkArgs),
    /// Take every account from a person, and log them out
    #[command(after_help = "Example:\n  loa people unlink lan --config loa.toml")]
    Unlink(OffArgs),
}

/// Where.
#[derive(Debug, Args)]
pub struct DirArgs {
    #[command(flatten)]
    place: Place,
    /// Who does this, for the audit
    #[arg(long, default_value = "command-line", value_name = "NAME")]
    by: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A person and what they may.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// What they log in with
    id: String,
    /// Their agency
    #[arg(long)]
    agency: String,
    /// Their name
    #[arg(long)]
    name: String,
    /// What they may, comma-separated: write, approve, override, operate, admin
    #[arg(long, value_delimiter = ',')]
    rights: Vec<String>,
    /// A file whose first line is their password, `-` for standard input; absent: it stays
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    dir: DirArgs,
}

/// A person and their account at the provider of `auth.people`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// What they are called here
    id: String,
    /// The provider's own id of them, the claim `sub`
    #[arg(long, value_name = "SUB", required_unless_present = "email", conflicts_with = "email")]
    subject: Option<String>,
    /// Their address, which the provider must have verified
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    #[command(flatten)]
    dir: DirArgs,
}

/// Whom to switch off.
#[derive(Debug, Args)]
pub struct OffArgs {
    /// What they log in with
    id: String,
    #[command(flatten)]
    dir: DirArgs,
}

/// Runs the command.
pub async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Put(args) => put(args).await,
        Command::List(dir) => list(dir).await,
        Command::Off(args) => off(args).await,
        Command::Link(args) => link(args).await,
        Command::Unlink(args) => unlink(args).await,
    }
}

async fn open(dir: &DirArgs) -> Result<People> {
    stores::people(&dir.place.settings()?).await
}

fn bad(error: impl std::fmt::Display) -> BadInput {
    BadInput(error.to_string())
}

async fn put(args: PutArgs) -> Result<bool> {
    let id: PersonId = args.id.parse().map_err(bad)?;
    let agency = args.agency.parse().map_err(bad)?;
    let rights = args.rights.iter().map(|word| word.parse());
    let rights: BTreeSet<Right> = rights.collect::<Result<_, _>>().map_err(bad)?;
    if args.name.trim().is_empty() || args.name.chars().count() > NAME_CHARS_MAX {
        let rule = format!("--name: must have 1 to {NAME_CHARS_MAX} characters");
        return Err(BadInput(rule).into());
    }
    let people = open(&args.dir).await?;
    let agencies = stores::agencies(&args.dir.place.settings()?).await?;
    if agencies.get(&agency).await?.is_none() {
        return Err(BadInput(format!("--agency: {agency} is unknown")).into());
    }
    let given = args.password_file.as_ref().map(password_of).transpose()?;
    let passwords = args.dir.place.settings()?.console.password_login;
    if passwords && given.is_none() && people.get(&id).await?.is_none() {
        return Err(BadInput("--password-file: a new person needs one".to_owned()).into());
    }
    if let Some(rule) = given.as_deref().and_then(password_problem) {
        return Err(BadInput(format!("--password-file: the password {rule}")).into());
    }
    let hash = given.map(|given| password::hash(&given)).transpose()?;
    let person = Person { id, name: args.name, agency, rights, active: true };
    people.put(person.clone(), hash).await?;
    let deed = (Act::ChangePerson, person.id.to_string());
    audit::note(&args.dir.place.settings()?, &args.dir.by, deed).await?;
    if args.dir.json {
        say!("{}", serde_json::to_string(&person)?);
    } else {
        say!("person {} of {} stored", person.id, person.agency);
    }
    Ok(true)
}

fn password_of(file: &PathBuf) -> Result<String> {
    // A byte more than the longest line, so that a longer one is refused and not cut.
    let mut text = String::new();
    let limit = PASSWORD_BYTES_MAX as u64 + 2;
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text).context("standard input")?;
    } else {
        let open = std::fs::File::open(file);
        let open = open.map_err(|error| BadInput(format!("{}: {error}", file.display())))?;
        open.take(limit).read_to_string(&mut text).context("--password-file")?;
    }
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

async fn list(dir: DirArgs) -> Result<bool> {
    let all = open(&dir).await?.list().await?;
    if dir.json {
        say!("{}", serde_json::to_string(&all)?);
        return Ok(true);
    }
    for person in all {
        let rights: Vec<_> = person.rights.iter().map(|right| right.as_str()).collect();
        let off = if person.active { "" } else { "  (off)" };
        say!("{}  {}  {}  {}{off}", person.id, person.agency, person.name, rights.join(","));
    }
    Ok(true)
}

async fn off(args: OffArgs) -> Result<bool> {
    let id: PersonId = args.id.parse().map_err(bad)?;
    let people = open(&args.dir).await?;
    let Some(person) = people.get(&id).await? else {
        say!("there is no such person");
        return Ok(false);
    };
    people.put(Person { active: false, ..person }, None).await?;
    let deed = (Act::ChangePerson, id.to_string());
    audit::note(&args.dir.place.settings()?, &args.dir.by, deed).await?;
    say!("{id} is switched off");
    Ok(true)
}

async fn link(args: LinkArgs) -> Result<bool> {
    let id: PersonId = args.id.parse().map_err(bad)?;
    let config = args.dir.place.settings()?;
    let issuer = config.auth.people.as_ref().map(|people| people.issuer.as_str());
    let issuer = issuer.ok_or_else(|| bad("auth.people: no identity provider is set"))?;
    let people = stores::people(&config).await?;
    if people.get(&id).await?.is_none() {
        return Err(bad(format!("{id} is unknown")).into());
    }
    let account = match (&args.subject, &args.email) {
        (Some(sub), _) => Account::subject(issuer, sub),
        (None, Some(address)) => Account::email(issuer, address),
        (None, None) => return Err(bad("give --subject or --email").into()),
    };
    people.link(account, &id).await?;
    audit::note(&config, &args.dir.by, (Act::ChangePerson, id.to_string())).await?;
    say!("the account is {id}'s");
    Ok(true)
}

async fn unlink(args: OffArgs) -> Result<bool> {
    let id: PersonId = args.id.parse().map_err(bad)?;
    let config = args.dir.place.settings()?;
    let count = stores::people(&config).await?.unlink(&id).await?;
    audit::note(&config, &args.dir.by, (Act::ChangePerson, id.to_string())).await?;
    say!("{count} accounts were taken from {id}");
    Ok(count > 0)
}
