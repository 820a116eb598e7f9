// A browser too old for modules gets the page that needs no script at all.
location.replace("/plain");
