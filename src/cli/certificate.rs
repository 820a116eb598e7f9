//! `loa agencies certificate`: what agencies sign their CAP messages with.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use crate::auth::certificate::read_pem;
use crate::cli::BadInput;
use crate::cli::agencies::{DirArgs, id, note, open};
use crate::domain::agency::Agency;
use crate::domain::audit::Act;
use crate::domain::certificate::{CERTIFICATES_MAX, is_name};

/// A certificate of an agency.
#[derive(Debug, Args)]
pub struct CertificateArgs {
    /// The agency's id
    id: String,
    /// A name for it
    #[arg(long, default_value = "default")]
    name: String,
    /// The certificate in PEM: RSA of 2,048 bits and more, or ECDSA on P-256 or P-384
    #[arg(long, value_name = "FILE", required_unless_present = "remove")]
    file: Option<PathBuf>,
    /// Take the certificate away instead
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    dir: DirArgs,
}

/// Registers a certificate, or removes it.
pub async fn run(args: CertificateArgs) -> Result<bool> {
    let name = &args.name;
    if !is_name(name) {
        let why = "--name: must be 1 to 64 letters, digits, dots, dashes or underscores";
        return Err(BadInput(why.to_owned()).into());
    }
    let agencies = open(&args.dir).await?;
    let id = id(&args.id)?;
    let unknown = || BadInput(format!("agency {id} is unknown"));
    let mut agency = agencies.get(&id).await?.ok_or_else(unknown)?;
    let certificates = &mut agency.cap_signing.certificates;
    let act = match &args.file {
        _ if args.remove => {
            if certificates.remove(name).is_none() {
                say!("there is no such certificate");
                return Ok(false);
            }
            Act::RemoveCertificate
        }
        Some(file) => {
            let wrong = |why: String| BadInput(format!("{}: {why}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
            let read = read_pem(&text, Timestamp::now()).map_err(|why| wrong(why.to_string()))?;
            say!("SHA-256 {}", read.fingerprint);
            certificates.insert(name.clone(), read);
            Act::RegisterCertificate
        }
        None => return Err(BadInput("--file: is missing".to_owned()).into()),
    };
    if certificates.len() > CERTIFICATES_MAX {
        let why = format!("agency {id} already has {CERTIFICATES_MAX} certificates");
        return Err(BadInput(why).into());
    }
    agencies.put(agency).await?;
    note(&args.dir, (act, format!("{id}/{name}"))).await?;
    say!("{}", if args.remove { "removed" } else { "registered" });
    Ok(true)
}

/// Prints an agency's certificates, as `loa agencies list` does its keys.
pub fn list(agency: &Agency) -> Result<()> {
    if agency.cap_signing.required {
        say!("    must sign its CAP messages");
    }
    for (name, one) in &agency.cap_signing.certificates {
        let (kind, bits) = (one.kind, one.bits);
        say!("    certificate {name}: {} ({kind}, {bits} bits)", one.subject);
        say!("        valid {} to {}", one.not_before, one.not_after);
        say!("        SHA-256 {}", one.fingerprint);
    }
    Ok(())
}
