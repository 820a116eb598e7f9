//! `loa agencies`: who may publish. Works on the data directory, or on a cluster's Redis, also
//! while nodes run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::auth::submission;
use crate::cli::certificate::{self, CertificateArgs};
use crate::cli::place::Place;
use crate::cli::{BadInput, audit};
use crate::domain::agency::{Agency, Jurisdiction, Kind, SUBMISSION_KEYS_MAX};
use crate::domain::alert::{Category, Severity};
use crate::domain::audit::Act;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{AgencyId, UnitCode};
use crate::domain::person::Right;
use crate::node::stores;
use crate::store::agencies::{self, Agencies};

/// What to do with agencies.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an agency, or change what it may
    #[command(after_help = "Example:\n  loa agencies put pc07 --name \"PCCC và CNCH\" \
        --categories Fire,Rescue --highest-severity Severe --data-dir data")]
    Put(PutArgs),
    /// List agencies and their keys
    #[command(after_help = "Example:\n  loa agencies list --data-dir data\n  \
        loa agencies list --config loa.toml")]
    List(DirArgs),
    /// Make an API key; it is shown once
    #[command(
        after_help = "Example:\n  loa agencies key pc07 --key-name duty-desk --data-dir data"
    )]
    Key(KeyArgs),
    /// Register the public key that an agency signs its submissions on the log with
    #[command(after_help = "Example:\n  loa agencies submission-key pc07 --key-name desk \
            --public-key desk.pub.pem")]
    SubmissionKey(SubmissionKeyArgs),
    /// Register a certificate that an agency signs its CAP messages with
    #[command(after_help = "Example:\n  loa agencies certificate pc07 --name desk --file \
            desk.cert.pem")]
    Certificate(CertificateArgs),
    /// Revoke an API key at once
    #[command(after_help = "Example:\n  loa agencies revoke pc07 --key-name duty-desk")]
    Revoke(KeyArgs),
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

/// An agency and what it may.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// Its id
    id: String,
    /// Its name for people
    #[arg(long)]
    name: String,
    /// Units it may address, comma-separated codes; absent means all
    #[arg(long, value_delimiter = ',')]
    units: Option<Vec<String>>,
    /// CAP categories it may use, comma-separated; absent means all
    #[arg(long, value_delimiter = ',')]
    categories: Option<Vec<String>>,
    /// The gravest CAP severity it may use
    #[arg(long, default_value = "Extreme")]
    highest_severity: String,
    /// Kinds it may publish: alert, status-change, notice
    #[arg(long, value_delimiter = ',', default_value = "alert,status-change,notice")]
    kinds: Vec<String>,
    /// The city's operators: may read every publication, dead letters and the node's state
    #[arg(long)]
    operator: bool,
    /// Hot alerts over the API wait for a second person or key, or need a recorded override
    #[arg(long)]
    second_person: bool,
    /// Its programs must send signed CAP XML, or need not; absent means as before
    #[arg(long, value_name = "BOOL")]
    signature_required: Option<bool>,
    #[command(flatten)]
    dir: DirArgs,
}

/// A key of an agency.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The agency's id
    id: String,
    /// A name for the key
    #[arg(long, default_value = "default")]
    key_name: String,
    /// Days until it expires; absent means never
    #[arg(long)]
    days: Option<u32>,
    /// What it may, comma-separated: write, approve, override, operate, admin
    #[arg(long, value_delimiter = ',', default_value = "write")]
    rights: Vec<String>,
    /// The SHA-256 of a client certificate without which it opens nothing
    /// (`openssl x509 -noout -fingerprint -sha256`)
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
    #[command(flatten)]
    dir: DirArgs,
}

/// A submission key of an agency.
#[derive(Debug, Args)]
pub struct SubmissionKeyArgs {
    /// The agency's id
    id: String,
    /// Its name: what the header `loa-key-id` says
    #[arg(long, default_value = "default")]
    key_name: String,
    /// An Ed25519 public key in PEM (`openssl pkey -pubout`)
    #[arg(long, value_name = "FILE", required_unless_present = "remove")]
    public_key: Option<PathBuf>,
    /// Take the key away instead
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    dir: DirArgs,
}

/// Runs the command.
pub async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Put(args) => put(args).await,
        Command::List(dir) => list(dir).await,
        Command::Key(args) => key(args).await,
        Command::SubmissionKey(args) => submission_key(args).await,
        Command::Certificate(args) => certificate::run(args).await,
        Command::Revoke(args) => {
            let agencies = open(&args.dir).await?;
            let agency = id(&args.id)?;
            let revoked = agencies.revoke(&agency, &args.key_name, Timestamp::now()).await;
            let revoked = revoked.map_err(refused)?;
            if revoked {
                let object = format!("{agency}/{}", args.key_name);
                note(&args.dir, (Act::RevokeKey, object)).await?;
            }
            say!("{}", if revoked { "revoked" } else { "there is no such key" });
            Ok(revoked)
        }
    }
}

pub(super) async fn open(dir: &DirArgs) -> Result<Agencies> {
    stores::agencies(&dir.place.settings()?).await
}

/// What the store refuses is the caller's to mend; that it fails is not.
fn refused(error: agencies::Error) -> anyhow::Error {
    match error {
        agencies::Error::Storage(_) => error.into(),
        _ => BadInput(error.to_string()).into(),
    }
}

pub(super) async fn note(dir: &DirArgs, deed: (Act, String)) -> Result<()> {
    audit::note(&dir.place.settings()?, &dir.by, deed).await
}

pub(super) fn id(text: &str) -> Result<AgencyId> {
    Ok(text.parse().map_err(|error| BadInput(format!("{error}")))?)
}

fn parsed<T>(texts: &[String]) -> Result<BTreeSet<T>>
where
    T: std::str::FromStr + Ord,
    T::Err: std::fmt::Display,
{
    let parse = |text: &String| text.parse().map_err(|error| BadInput(format!("{error}")));
    Ok(texts.iter().map(parse).collect::<Result<_, BadInput>>()?)
}

fn kind(text: &String) -> Result<Kind> {
    let value = serde_json::Value::String(text.clone());
    let known = serde_json::from_value(value);
    Ok(known.map_err(|_| BadInput(format!("--kinds: `{text}` is no kind")))?)
}

async fn put(args: PutArgs) -> Result<bool> {
    let units: Option<BTreeSet<UnitCode>> =
        args.units.as_deref().map(parsed).transpose().context("--units")?;
    let categories: Option<BTreeSet<Category>> =
        args.categories.as_deref().map(parsed).transpose().context("--categories")?;
    let highest_severity: Severity = args
        .highest_severity
        .parse()
        .map_err(|error| BadInput(format!("--highest-severity: {error}")))?;
    let kinds = args.kinds.iter().map(kind).collect::<Result<_>>()?;
    let jurisdiction = Jurisdiction { units, categories, highest_severity, kinds };
    let agencies = open(&args.dir).await?;
    let id = id(&args.id)?;
    let known = agencies.get(&id).await?;
    let known = known.map(|known| (known.submission_keys, known.cap_signing));
    let (submission_keys, mut cap_signing) = known.unwrap_or_default();
    cap_signing.required = args.signature_required.unwrap_or(cap_signing.required);
    let agency = Agency {
        id,
        name: args.name,
        jurisdiction,
        operator: args.operator,
        second_person: args.second_person,
        submission_keys,
        cap_signing,
    };
    agencies.put(agency.clone()).await?;
    note(&args.dir, (Act::ChangeAgency, agency.id.to_string())).await?;
    if args.dir.json {
        say!("{}", serde_json::to_string(&agency)?);
    } else {
        say!("agency {} stored; make it a key with: loa agencies key {}", agency.id, agency.id);
    }
    Ok(true)
}

async fn submission_key(args: SubmissionKeyArgs) -> Result<bool> {
    let name = &args.key_name;
    if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_graphic()) {
        let why = "--key-name: must be 1 to 64 visible ASCII characters";
        return Err(BadInput(why.to_owned()).into());
    }
    let agencies = open(&args.dir).await?;
    let id = id(&args.id)?;
    let unknown = || BadInput(format!("agency {id} is unknown"));
    let mut agency = agencies.get(&id).await?.ok_or_else(unknown)?;
    match &args.public_key {
        _ if args.remove => {
            if agency.submission_keys.remove(name).is_none() {
                say!("there is no such key");
                return Ok(false);
            }
        }
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| BadInput(format!("{}: {error}", file.display())))?;
            let key = submission::read_pem(&text).ok_or_else(|| {
                BadInput(format!("{}: is no Ed25519 public key in PEM", file.display()))
            })?;
            agency.submission_keys.insert(name.clone(), key);
        }
        None => return Err(BadInput("--public-key: is missing".to_owned()).into()),
    }
    if agency.submission_keys.len() > SUBMISSION_KEYS_MAX {
        let why = format!("agency {id} already has {SUBMISSION_KEYS_MAX} submission keys");
        return Err(BadInput(why).into());
    }
    agencies.put(agency).await?;
    say!("{}", if args.remove { "removed" } else { "registered" });
    Ok(true)
}

async fn list(dir: DirArgs) -> Result<bool> {
    let agencies = open(&dir).await?;
    let all = agencies.list().await?;
    if dir.json {
        say!("{}", serde_json::to_string(&all)?);
        return Ok(true);
    }
    for agency in all {
        say!("{}  {}", agency.id, agency.name);
        certificate::list(&agency)?;
        for key in agencies.keys(&agency.id).await? {
            let used =
                key.last_used.map_or("never used".to_owned(), |at| format!("last used {at}"));
            let state = match (key.revoked, key.expires) {
                (Some(at), _) => format!("revoked {at}"),
                (None, Some(at)) => format!("expires {at}"),
                (None, None) => "does not expire".to_owned(),
            };
            let bound = key.certificate.map_or(String::new(), |one| format!(", needs {one}"));
            say!("    key {}: {state}, {used}{bound}", key.name);
        }
    }
    Ok(true)
}

/// A certificate's fingerprint, also as openssl prints it with its name before it.
fn fingerprint(text: &str) -> Result<Fingerprint> {
    let digits = text.rsplit_once('=').map_or(text, |(_, digits)| digits);
    Ok(digits.trim().parse().map_err(|error| BadInput(format!("--certificate: {error}")))?)
}

async fn key(args: KeyArgs) -> Result<bool> {
    let now = Timestamp::now();
    let expires = args.days.map(|days| now + SignedDuration::from_hours(24 * i64::from(days)));
    let agency = id(&args.id)?;
    let agencies = open(&args.dir).await?;
    let rights: BTreeSet<Right> = parsed(&args.rights).context("--rights")?;
    let certificate = args.certificate.as_deref().map(fingerprint).transpose()?;
    let life = (now, expires);
    let key = agencies.add_bound_key(&agency, &args.key_name, life, certificate).await;
    let key = key.map_err(refused)?;
    agencies.set_key_rights(&agency, &args.key_name, rights).await.map_err(refused)?;
    note(&args.dir, (Act::CreateKey, format!("{agency}/{}", args.key_name))).await?;
    if args.dir.json {
        let document = serde_json::json!({ "agency": agency, "key": key.expose() });
        say!("{document}");
    } else {
        say!("{}", key.expose());
        eprintln!("this key is shown once; only its SHA-256 is stored");
    }
    Ok(true)
}
