//! The providers, in a process of their own: they count whom they handed what, and fail in the
//! ways they are told to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use loa::domain::ids::PublicationId;
use loa::geofence::{BUILTIN_CITY, City};
use loa::simulator::faults::{Faults, Refusal, Rule, Service, Then, When};
use loa::simulator::providers::{Options, Providers};
use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::pipe::{self, Pipe};
use crate::plan::Plan;
use crate::tally::{Arrival, Tally, Totals, Window};

/// The job's name.
pub const JOB: &str = "providers";
/// Pushes that may wait to be counted; then the providers wait.
const WAITING: usize = 1 << 16;
/// Between two clearings of what the simulator itself keeps of each push.
const CLEAR: Duration = Duration::from_secs(60);
/// Of a provider in trouble: the share of requests that it cannot take, or takes slowly.
const REFUSED: f64 = 0.3;
const SLOWED: f64 = 0.2;
const SLOW: Duration = Duration::from_millis(500);
/// What an answer takes at most, with this much to do.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(1);
/// A request in so many ends its connection.
const CUT_EVERY: u64 = 4_000;

/// What is asked of the providers.
#[derive(Serialize, Deserialize)]
pub enum Question {
    /// How many of those that stay a publication reached: a number.
    Count(PublicationId),
    /// What came since the last time: a [`Window`].
    Window,
    /// What came of everything: [`Totals`].
    Totals,
    /// Behave like this from now on: nothing.
    Behave(Manner),
}

/// How providers behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Manner {
    /// Well.
    Well,
    /// Many requests are answered with 503.
    Refusing,
    /// Connections are cut: what was in flight may have been delivered.
    Cutting,
    /// Many answers are late.
    Slow,
    /// The apps of these addresses are gone.
    Gone(Vec<String>),
}

/// The last while in which connections were cut.
#[derive(Debug)]
struct Cut {
    from: Timestamp,
    until: Timestamp,
}

impl Default for Cut {
    fn default() -> Self {
        Self { from: Timestamp::MAX, until: Timestamp::MAX }
    }
}

impl Cut {
    fn turn(&mut self, manner: &Manner) {
        let now = Timestamp::now();
        if *manner == Manner::Cutting {
            (self.from, self.until) = (now - IN_FLIGHT, Timestamp::MAX);
        } else if self.until == Timestamp::MAX {
            self.until = now + IN_FLIGHT;
        }
    }

    /// Whether the answer to a push may have been lost.
    fn may_lose(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }
}

/// Runs the providers until the standard input ends.
pub async fn serve() -> Result<()> {
    let plan = Plan::of_environment()?;
    let providers = Providers::start(Options::default()).await?;
    let known = Known::of(&providers);
    let people = plan.people(&City::builtin(BUILTIN_CITY)?, &known.webpush);
    let tally = Arc::new(Mutex::new(Tally::new(plan.stable())));
    let cut = Arc::new(Mutex::new(Cut::default()));
    let mut pushes = providers.deliveries(WAITING);
    let (counted, cuts) = (tally.clone(), cut.clone());
    tokio::spawn(async move {
        while let Some(push) = pushes.recv().await {
            let Some(device) = people.by_token(&push.token) else { continue };
            let (publication, at) = (push.publication, push.at);
            let is_doubtful = cuts.lock().unwrap_or_else(PoisonError::into_inner).may_lose(at);
            let arrival = Arrival { publication, device, at, is_timed: true, is_doubtful };
            counted.lock().unwrap_or_else(PoisonError::into_inner).note(arrival);
        }
    });
    let record = providers.record.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(CLEAR).await;
            record.clear();
        }
    });
    pipe::answer(&known)?;
    let mut questions = pipe::questions::<Question>();
    while let Some(question) = questions.recv().await {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        match question {
            Question::Count(id) => pipe::answer(&tally.count(id))?,
            Question::Window => pipe::answer(&tally.window())?,
            Question::Totals => pipe::answer(&tally.totals())?,
            Question::Behave(manner) => {
                cut.lock().unwrap_or_else(PoisonError::into_inner).turn(&manner);
                behave(&providers.faults, manner);
                pipe::answer(&())?;
            }
        }
    }
    providers.stop().await;
    Ok(())
}

fn behave(faults: &Faults, manner: Manner) {
    let unavailable = Then::Refuse(Refusal::new(503, ""));
    let rules = match manner {
        Manner::Well => vec![],
        Manner::Refusing => vec![Rule::new(When::Share(REFUSED), unavailable)],
        Manner::Cutting => vec![Rule::new(When::Every(CUT_EVERY), Then::CutBefore)],
        Manner::Slow => vec![Rule::new(When::Share(SLOWED), Then::Slow(SLOW))],
        Manner::Gone(tokens) => return gone(faults, tokens),
    };
    for service in [Service::Apns, Service::Fcm, Service::Webpush] {
        faults.set(service, rules.clone());
    }
}

/// Each provider says of an app that is gone what it would say.
fn gone(faults: &Faults, tokens: Vec<String>) {
    let words = [
        (Service::Apns, Refusal::new(410, "Unregistered")),
        (Service::Fcm, Refusal::new(404, "UNREGISTERED")),
        (Service::Webpush, Refusal::new(410, "")),
    ];
    for (service, refusal) in words {
        let rule =
            |token: &String| Rule::new(When::Token(token.clone()), Then::Refuse(refusal.clone()));
        faults.set(service, tokens.iter().map(rule).collect());
    }
}

/// The providers, seen from the driver.
pub struct Pushed(tokio::sync::Mutex<Pipe>);

impl Pushed {
    /// Starts them, and says how a node reaches them.
    pub async fn start() -> Result<(Self, Known)> {
        let mut pipe = Pipe::start(JOB, &())?;
        let known = pipe.answer().await?;
        Ok((Self(tokio::sync::Mutex::new(pipe)), known))
    }

    /// How many of those that stay a publication reached.
    pub async fn count(&self, publication: PublicationId) -> Result<u64> {
        self.0.lock().await.ask(&Question::Count(publication)).await
    }

    /// What came since the last call.
    pub async fn window(&self) -> Result<Window> {
        self.0.lock().await.ask(&Question::Window).await
    }

    /// What came of everything.
    pub async fn totals(&self) -> Result<Totals> {
        self.0.lock().await.ask(&Question::Totals).await
    }

    /// Has them behave like this from now on.
    pub async fn behave(&self, manner: Manner) -> Result<()> {
        self.0.lock().await.ask(&Question::Behave(manner)).await
    }
}
