import { useSignal, useSignalEffect } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { about, broken, runs, start } from "./core/state";
import { AuditPage } from "./pages/Audit";
import { Events } from "./pages/Events";
import { Gallery } from "./pages/Gallery";
import { JobPage } from "./pages/Job";
import { Jobs } from "./pages/Jobs";
import { ModelPage } from "./pages/Model";
import { Mine } from "./pages/Mine";
import { AccountPage, PartyPage } from "./pages/Party";
import { Workers } from "./pages/Workers";
import { Kept } from "./parts/Kept";
import { Who } from "./parts/Who";

/** The page that an address names: `#/model/3`. */
function Route({ address }: { address: string }) {
  const [, page, name = ""] = address.split("/");
  switch (page) {
    case "model":
      return <ModelPage key={name} version={Number(name)} />;
    case "mine":
      return <Mine key={name} name={name} />;
    case "jobs":
      return <Jobs />;
    case "job":
      return <JobPage key={name} id={Number(name)} />;
    case "workers":
      return <Workers />;
    case "events":
      return <Events />;
    case "account":
      return <AccountPage />;
    case "party":
      return <PartyPage key={name} address={name} />;
    case "audit":
      return <AuditPage key={name} id={Number(name)} />;
    default:
      return <Gallery />;
  }
}

/** What the navigation leads to, and which addresses belong to each. */
const pages = [
  { name: "Models", href: "#/", of: /^(#\/?|#\/model\/.*)?$/ },
  { name: "Jobs", href: "#/jobs", of: /^#\/(jobs?|mine|audit)/ },
  { name: "Workers", href: "#/workers", of: /^#\/workers/ },
  { name: "Events", href: "#/events", of: /^#\/events/ },
  { name: "Account", href: "#/account", of: /^#\/(account|party)/ },
];

/** Says on every other page that a job waits for its user. */
function Waiting({ address }: { address: string }) {
  const run = Object.values(runs.value).find(({ consent }) => consent !== null);
  if (!run || address === `#/mine/${run.name}`) return null;
  return <p class="banner" role="status"><a href={`#/mine/${run.name}`}>Your job{run.id === null ? "" : ` ${run.id}`} waits: look before it sends anything</a></p>;
}

function App() {
  const address = useSignal(location.hash);
  useEffect(() => {
    const moved = () => {
      address.value = location.hash;
      document.querySelector<HTMLElement>("main")?.focus();
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, [address]);
  useSignalEffect(() => {
    document.title = about.value ? `Encompute — ${about.value.network}` : "Encompute";
  });
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>("main")?.focus(); }}>
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="#/">Encompute</a>
        <nav aria-label="Pages">
          {pages.map(({ name, href, of }) => (
            <a key={href} href={href} aria-current={of.test(address.value) ? "page" : undefined}>{name}</a>
          ))}
        </nav>
        <Who />
      </header>
      {about.value?.development && (
        <p class="banner">
          Development network <strong>{about.value.network}</strong>: its money is worth nothing, and attestation is simulated.
        </p>
      )}
      <Waiting address={address.value} />
      <main tabIndex={-1} id="content">
        {broken.value ? (
          <>
            <section class="card fault" role="alert">
              <h1>This page cannot reach its network</h1>
              <p>{broken.value}</p>
              <button type="button" onClick={() => location.reload()}>Try again</button>
            </section>
            <Kept />
          </>
        ) : about.value ? (
          <Route address={address.value} />
        ) : (
          <p class="quiet" role="status">Connecting…</p>
        )}
      </main>
      <footer class="quiet">
        <p>
          What you drop here is encrypted in this tab before anything leaves it. Not a medical device; released numbers tell
          something, within the bits that you choose.
        </p>
      </footer>
    </>
  );
}

const root = document.getElementById("page");
if (root) render(<App />, root);
void start();
