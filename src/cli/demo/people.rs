//! The demo's two people: one writes, one approves, so that a newcomer sees why there are two.

use anyhow::Result;

use crate::auth::password;
use crate::domain::person::{Person, Right};
use crate::node::Node;

/// A person who can log in to the demo.
#[derive(Clone, Debug)]
pub struct Login {
    /// What they log in with.
    pub id: &'static str,
    /// What they are there for.
    pub role: &'static str,
    /// Made anew with each demo.
    pub password: String,
}

/// Adds both to the demo's agency.
pub async fn settle(node: &Node) -> Result<Vec<Login>> {
    use Right::{Admin, Approve, Operate, Override, Write};
    let cast: [(&str, &str, &str, &[Right]); 2] = [
        ("lan", "Nguyễn Thị Lan", "writes", &[Write, Operate]),
        ("minh", "Trần Văn Minh", "approves", &[Write, Approve, Override, Operate, Admin]),
    ];
    let mut logins = Vec::with_capacity(cast.len());
    for (id, name, role, rights) in cast {
        let groups: [u16; 3] = rand::random();
        let password = groups.map(|group| format!("{:04}", group % 10_000)).join("-");
        let person = Person {
            id: id.parse()?,
            name: name.to_owned(),
            agency: "demo".parse()?,
            rights: rights.iter().copied().collect(),
            active: true,
        };
        node.parts.people.put(person, Some(password::hash(&password)?)).await?;
        logins.push(Login { id, role, password });
    }
    Ok(logins)
}
