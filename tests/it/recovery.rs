//! Promises 1 and 2 over the real binary: killed with SIGKILL at eleven moments of one broadcast to
//! 50,000 devices, and started again each time, it reaches everyone; what comes twice is bounded,
//! and replaces itself on the screen.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use loa::domain::channel::Channel;
use loa::domain::ids::PublicationId;
use loa::geofence::City;
use loa::simulator::citizens::{Mix, Population, Tally, Uplink, answer_pushes};
use loa::simulator::record::Delivered;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::node::{AlertXml, PATIENCE};
use crate::support::people::{audience, everywhere, received, repeats, tokens};
use crate::support::site::Site;

const DEVICES: u32 = 50_000;
/// Devices whose app tells back: enough to have receipts in flight at each kill.
const ANSWERING: u32 = 3_000;
const MIX: Mix = Mix { apns: 500, fcm: 500, second_place: 120, cell: 150, english: 60 };
/// Members in a batch, and dispatches in work at once for each channel: small, so that the bound
/// on repeats says something.
const BATCH: usize = 20;
const DISPATCHES: usize = 16;
/// Most devices that may get it again after one kill.
const BOUND: usize = Channel::PUSH.len() * DISPATCHES * BATCH;
/// Deliveries that may wait for the test: all there are, so that it never slows the providers.
const ALL: usize = 4 * DEVICES as usize;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// The request is written.
    Written,
    /// Something of it is on the disk; nothing was answered.
    Reserved,
    /// The 202 was read.
    Answered,
    /// The first dispatches are in the ledger.
    Routing,
    /// The first push was seen by a provider.
    FirstPush,
    /// So many of a hundred pushes were seen.
    Pushes(usize),
    /// So many receipts were counted.
    Receipts(u64),
}

impl Moment {
    /// Pushes are in flight then.
    fn is_sending(self) -> bool {
        matches!(self, Self::FirstPush | Self::Pushes(_) | Self::Receipts(_))
    }
}

const MOMENTS: [Moment; 11] = [
    Moment::Written,
    Moment::Reserved,
    Moment::Answered,
    Moment::Routing,
    Moment::FirstPush,
    Moment::Pushes(5),
    Moment::Receipts(100),
    Moment::Pushes(20),
    Moment::Pushes(50),
    Moment::Pushes(80),
    Moment::Pushes(99),
];

/// What all kills share.
struct Crashes {
    site: Site,
    xml: String,
    tokens: BTreeMap<u32, String>,
    pushes: mpsc::Receiver<Delivered>,
    /// Pushes the providers took so far, repeats included.
    seen: usize,
    /// The publication, once it was answered.
    id: Option<PublicationId>,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_eleven_moments_of_a_broadcast_a_node_reaches_everyone_within_the_bound() {
    let settings = format!("[fanout]\nbatch = {BATCH}\ndispatches_emergency = {DISPATCHES}\n");
    let site = Site::with(DEVICES, MIX, &settings).await;
    let city = City::builtin("hcmc").expect("built in");
    let mut crashes = Crashes {
        xml: AlertXml::hot("recovery", &everywhere(&city)).render(),
        tokens: tokens(&site.population),
        pushes: site.providers.deliveries(ALL),
        seen: 0,
        id: None,
        site,
    };
    let (uplink, phones) = crashes.answer(&city);
    let mut node = crashes.site.start().await;
    for moment in MOMENTS {
        let began = Instant::now();
        let what = crashes.reach(moment).await;
        node.kill().await;
        let killed = Instant::now();
        node = crashes.site.start().await;
        eprintln!(
            "kill -9 at {moment:?} after {:.1} s: {what}; up again after {} ms",
            (killed - began).as_secs_f64(),
            killed.elapsed().as_millis()
        );
    }
    crashes.everyone_is_reached(&uplink).await;
    phones.abort();
    node.kill().await;
}

impl Crashes {
    /// The phones tell back what they show, over every restart.
    fn answer(&self, city: &City) -> (Uplink, JoinHandle<()>) {
        // The same seed gives the same people: these are the first of them.
        let answering = Population::new(city, ANSWERING, (1, MIX));
        let uplink = Uplink::open(self.site.address, &answering);
        let deliveries = self.site.providers.deliveries(ALL);
        let phones = answer_pushes(deliveries, answering, (Tally::default(), uplink.clone()));
        (uplink, tokio::spawn(phones))
    }

    /// Brings the broadcast to a moment and says what was seen there.
    async fn reach(&mut self, moment: Moment) -> String {
        match moment {
            Moment::Written => {
                self.site.post_and_look_away(&self.xml).await;
                "nothing was answered".to_owned()
            }
            Moment::Reserved => {
                let kept = self.publish_unless_kept().await;
                format!("{kept} after the kill before; now something is on the disk")
            }
            Moment::Answered => {
                let (id, kept) = self.site.publish(&self.xml).await;
                self.id = Some(id);
                let kept = if kept { "complete" } else { "absent" };
                format!("{kept} after the kill before; now answered 202")
            }
            Moment::Routing => {
                let id = self.id.expect("answered");
                let funnel = self.site.funnel_where(id, |now| now.open_dispatches > 0).await;
                format!("{} dispatches in the ledger", funnel.open_dispatches)
            }
            Moment::FirstPush => self.see(1).await,
            Moment::Pushes(share) => self.see(self.tokens.len() * share / 100).await,
            Moment::Receipts(wanted) => {
                let id = self.id.expect("answered");
                let funnel = self.site.funnel_where(id, |now| now.total.shown >= wanted).await;
                format!("{} receipts counted", funnel.total.shown)
            }
        }
    }

    /// Writes the request and waits until the alerts' store changes. What was not answered before
    /// is complete or not there at all.
    async fn publish_unless_kept(&self) -> &'static str {
        let active = self.site.active().await;
        if active > 0 {
            return "complete";
        }
        let before = self.alerts_changed();
        let connection = self.site.post_and_look_away(&self.xml).await;
        let deadline = Instant::now() + PATIENCE;
        while self.alerts_changed() == before {
            assert!(Instant::now() < deadline, "nothing is written:\n{}", self.site.log());
            tokio::task::yield_now().await;
        }
        drop(connection);
        "absent"
    }

    fn alerts_changed(&self) -> Option<(u64, SystemTime)> {
        let log = self.site.dir.path().join("data/alerts.db-wal");
        let metadata = std::fs::metadata(log).ok()?;
        Some((metadata.len(), metadata.modified().expect("a file system with times")))
    }

    /// Waits until the providers took so many pushes.
    async fn see(&mut self, wanted: usize) -> String {
        let counted = async {
            while self.seen < wanted {
                self.pushes.recv().await.expect("the providers run");
                self.seen += 1;
            }
        };
        let counted = tokio::time::timeout(PATIENCE, counted).await;
        assert!(counted.is_ok(), "{} of {wanted} pushes:\n{}", self.seen, self.site.log());
        format!("{} pushes seen", self.seen)
    }

    /// Waits until every phone's receipt was answered, and says so if one was not: what is missing
    /// in the funnel after that, the node has lost.
    async fn all_is_told(&self, uplink: &Uplink) -> u64 {
        let all = u64::from(ANSWERING);
        let began = Instant::now();
        let answered = uplink.told_when(|told| told.answered == all);
        // Where time runs out, what was told till then says whose side it is.
        let told = tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| uplink.told());
        eprintln!(
            "{} of {all} receipts answered {:.1} s after the last start, {} tries repeated, \
             the last because of {:?}",
            told.answered,
            began.elapsed().as_secs_f64(),
            told.repeated,
            told.last_failure
        );
        assert_eq!(told.answered, all, "the phones' side: {told:?}\n{}", self.site.log());
        told.answered
    }

    async fn everyone_is_reached(&self, uplink: &Uplink) {
        let id = self.id.expect("answered");
        let publication = self.site.publication(id).await;
        let expected = audience(&publication, &self.site.population);
        assert_eq!(expected.len(), DEVICES as usize, "the alert is for the whole city");
        let told = self.all_is_told(uplink).await;
        let over = |total: u64, shown| total == 0 && shown >= told;
        let funnel =
            self.site.funnel_where(id, |now| over(now.open_dispatches, now.total.shown)).await;
        let received = received(&self.site.providers, &self.tokens, id);
        let missed: Vec<_> = expected.iter().filter(|one| !received.contains_key(one)).collect();
        assert!(missed.is_empty(), "{} were not reached: {missed:?}", missed.len());
        let repeats = repeats(&received);
        let kills = MOMENTS.iter().filter(|moment| moment.is_sending()).count();
        let most = received.values().map(Vec::len).max().unwrap_or_default();
        eprintln!(
            "{} of {} reached, {repeats} repeats (bound {} x {BOUND}), one device at most {most} \
             times, {} of {told} answered receipts counted",
            received.len(),
            expected.len(),
            kills,
            funnel.total.shown
        );
        assert!(repeats <= kills * BOUND, "{repeats} repeats");
        assert!(funnel.total.repeated >= repeats as u64, "{:?}", funnel.total);
        assert_eq!(funnel.total.accepted, u64::from(DEVICES), "{:?}", funnel.total);
        assert_eq!(funnel.total.shown, told, "{:?}", funnel.total);
        let all: usize = received.values().map(Vec::len).sum();
        let total = self.site.providers.record.total() as usize;
        assert_eq!(total, all, "pushes of something else than what was answered");
    }
}
