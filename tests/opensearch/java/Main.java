import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import org.codelibs.opensearch.runner.OpenSearchRunner;
import org.opensearch.http.HttpServerTransport;

/**
 * One OpenSearch node over a folder: Main FOLDER PORT [setting=value ...].
 *
 * It writes the port that it listens at, on loopback, to FOLDER/http.port. It lives as long as its standard input is open:
 * then whoever started it is gone, however that ended, and the folder goes as well. A signal leaves the folder as it is.
 */
public final class Main {
    /**
     * Fewer are sooner up; versions 3 and 2 name them differently, and names that are not known do not count.
     * The common analyzers stay out because the Java that tests/setup brings knows no Thai.
     */
    private static final String MODULES = String.join(",",
        "org.opensearch.transport.Netty4ModulePlugin", "org.opensearch.transport.Netty4Plugin",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin", "org.opensearch.index.mapper.MapperExtrasPlugin",
        "org.opensearch.painless.PainlessModulePlugin", "org.opensearch.painless.PainlessPlugin",
        "org.opensearch.index.reindex.ReindexModulePlugin", "org.opensearch.index.reindex.ReindexPlugin");

    public static void main(String[] args) {
        Path folder = Path.of(args[0]);
        OpenSearchRunner runner = new OpenSearchRunner();
        try {
            // The runner would look for a free port by itself, above the one that it is given.
            runner.setMaxHttpPort(-1);
            runner.onBuild((number, settings) -> {
                settings.put("network.host", "127.0.0.1").put("http.port", args[1]).put("transport.port", "0");
                settings.putList("node.roles", "cluster_manager", "data", "ingest");
                settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
                for (int place = 2; place < args.length; place++) {
                    String[] pair = args[place].split("=", 2);
                    settings.put(pair[0], pair[1]);
                }
            });
            runner.build(OpenSearchRunner.newConfigs().basePath(folder.toString()).numOfNode(1).moduleTypes(MODULES));
            Runtime.getRuntime().addShutdownHook(new Thread(() -> close(runner)));
            HttpServerTransport server = runner.node().injector().getInstance(HttpServerTransport.class);
            int port = server.boundAddress().publishAddress().getPort();
            Path written = Files.writeString(folder.resolve("http.port.new"), Integer.toString(port));
            Files.move(written, folder.resolve("http.port"), StandardCopyOption.ATOMIC_MOVE);
            while (System.in.read() >= 0) {
                // Nothing is asked of it this way.
            }
            close(runner);
            delete(folder);
            System.exit(0);
        } catch (Throwable problem) {
            // Threads of the node keep the process alive otherwise.
            problem.printStackTrace();
            System.exit(1);
        }
    }

    private static void close(OpenSearchRunner runner) {
        try {
            runner.close();
        } catch (IOException problem) {
            problem.printStackTrace();
        }
    }

    private static void delete(Path folder) throws IOException {
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path inner, IOException problem) throws IOException {
                Files.delete(inner);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
